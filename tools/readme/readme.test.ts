import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readAdapter } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { type LlamaForCausalLM, llama, newModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { gradients, sum, Variable } from '@graftjs/tensor';
import { openGpu } from '@graftjs/webgpu';
import { expect, test } from 'vitest';
import { outputScale, outputScaleConfig } from '../../docs/examples/output-scale.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test.each(['finetune', 'output-scale'])('the README shows docs/examples/%s.ts as it is', async (name) => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((m) => m[1]);
  expect(blocks).toContain(await readFile(join(root, `docs/examples/${name}.ts`), 'utf8'));
});

test('the first example runs as it is, its loss falls, and it writes an adapter', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'graft-readme-'));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--import',
      join(root, 'node_modules/tsx/dist/esm/index.mjs'),
      '--conditions=@graftjs/source',
      join(root, 'docs/examples/finetune.ts'),
    ],
    { cwd },
  );
  const losses = stdout
    .trim()
    .split('\n')
    .map((line) => Number(line.split(' ')[1]));
  expect(losses).toHaveLength(20);
  const mean = (a: readonly number[]): number => a.reduce((x, y) => x + y, 0) / a.length;
  expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 5)));
  expect(await readdir(join(cwd, 'runs/my-adapter'))).toContain('adapter_model.safetensors');
  const { tensors } = await readAdapter(nodeFolder(join(cwd, 'runs/my-adapter')));
  expect([...tensors.tensors.keys()]).toContain(
    'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
  );
});

test('the tuner of the second example starts as the base, trains its numbers only, and is saved and loaded', async () => {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const json = {
    model_type: 'llama',
    vocab_size: 32,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  };
  const build = (): PeftModel<LlamaForCausalLM> =>
    new PeftModel(newModel(json, { architectures: [llama], seed: 3 }).model, {
      runtime,
      tuners: [outputScale],
    });
  const inputIds = new Variable([1, 5], Int32Array.of(1, 2, 3, 4, 5), { dtype: 'i32' });
  const peft = build();
  const logits = () => peft.model.forward({ inputIds }, new Context());
  const [base] = await runtime.evaluate([logits()]);
  await peft.addAdapter('default', outputScaleConfig({ targetModules: ['q_proj', 'down_proj'] }));
  const [started] = await runtime.evaluate([logits()]);
  expect([...started!]).toEqual([...base!]);
  const trained = [...peft.trainableParameters().values()];
  expect(trained.reduce((n, p) => n + p.size, 0)).toBe(32);
  const grads = await runtime.evaluate(gradients(sum(logits()), trained));
  expect(grads.every((g) => g.some((v) => v !== 0))).toBe(true);
  trained[0]!.set(Float32Array.from({ length: 16 }, (_, i) => 1 + i / 16));
  const [changed] = await runtime.evaluate([logits()]);
  expect([...changed!]).not.toEqual([...base!]);
  const folder = nodeFolder(await mkdtemp(join(tmpdir(), 'graft-tuner-')));
  await peft.saveAdapter(folder);
  const again = build();
  await again.loadAdapter(folder);
  const [loaded] = await runtime.evaluate([again.model.forward({ inputIds }, new Context())]);
  expect([...loaded!]).toEqual([...changed!]);
  gpu.close();
});
