import { fileURLToPath } from 'node:url';
import { openSafetensors, readAdapter } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { architectures, type CausalLM, loadModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, sum, Variable } from '@graftjs/tensor';
import { deviation, smallModel } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cartridge, cartridgeConfig, prefixTuning, prefixTuningConfig, startFromTokens } from './index.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const rowsOf = async (peft: PeftModel, name = 'default'): Promise<number[]> =>
  Array.from((await peft.attached(name).toStateDict(runtime)).get('prompt_embeddings')!.data);

test('starts as the keys and values of a text, as in PEFT', async () => {
  const folder = fixtures.folder('prompts').folder('prefix-tuning-cartridge-tokens');
  const { base } = JSON.parse(await folder.readText('case.json')) as { base: string };
  const { model } = await loadModel(fixtures.folder(base), { architectures });
  const peft = new PeftModel(model, { runtime, tuners: [cartridge, prefixTuning] });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const ids = [...(await expected.readFloat32('input_ids'))];
  const theirs = (await readAdapter(folder.folder('adapter'))).tensors;
  const wanted = await theirs.readFloat32('prompt_embeddings');
  await peft.addAdapter('default', cartridgeConfig({ numVirtualTokens: 5, numFrozenTokens: 2 }));
  await startFromTokens(peft, ids);
  expect(deviation(await rowsOf(peft), wanted)).toBeLessThan(1e-4);
  await peft.addAdapter('prefix', prefixTuningConfig({ numVirtualTokens: 5 }));
  await startFromTokens(peft, ids, 'prefix');
  expect(await rowsOf(peft, 'prefix')).toEqual(await rowsOf(peft));
});

test.each(['llama', 'gpt2'])('%s: a prefix from a text reads on as the text', async (modelType) => {
  const model: CausalLM = smallModel(modelType);
  const peft = new PeftModel(model, { runtime, tuners: [cartridge] });
  const [text, rest] = [
    [5, 6, 7],
    [8, 9, 10, 11],
  ];
  const logits = async (ids: readonly number[]): Promise<number[]> => {
    const inputIds = new Variable([1, ids.length], Int32Array.from(ids));
    return Array.from((await runtime.evaluate([model.forward({ inputIds }, new Context())]))[0]!);
  };
  const whole = (await logits([...text, ...rest])).slice(-rest.length * 48);
  await peft.addAdapter('default', cartridgeConfig({ numVirtualTokens: 3 }));
  await startFromTokens(peft, text);
  expect(deviation(await logits(rest), whole)).toBeLessThan(1e-4);
  await expect(startFromTokens(peft, [1, 2])).rejects.toThrow(/num_virtual_tokens: .* a text of 2 tokens/);
});

test('training leaves the first tokens alone', async () => {
  const model = smallModel('llama');
  const peft = new PeftModel(model, { runtime, tuners: [cartridge] });
  await peft.addAdapter('default', cartridgeConfig({ numVirtualTokens: 3, numFrozenTokens: 2 }));
  const before = await rowsOf(peft);
  const trained = peft.trainableParameters();
  expect([...trained.keys()]).toEqual(['prompt_encoder.default.trainable_embedding']);
  const inputIds = new Variable([1, 4], Int32Array.from([1, 2, 3, 4]));
  const loss = sum(model.forward({ inputIds }, new Context()));
  const optimizer = new AdamW(trained);
  const { updates } = optimizer.update(gradients(loss, [...trained.values()]), {});
  optimizer.beginStep(0.1);
  await (await runtime.compile({ updates })).run();
  const after = await rowsOf(peft);
  const width = before.length / 3;
  expect(after.slice(0, 2 * width)).toEqual(before.slice(0, 2 * width));
  expect(after.slice(2 * width)).not.toEqual(before.slice(2 * width));
});

test('refuses a prefix with nothing to train', () => {
  expect(() => cartridgeConfig({ numVirtualTokens: 2, numFrozenTokens: 2 })).toThrow(
    /num_frozen_tokens: leaves nothing to train of 2 virtual tokens/,
  );
});
