/**
 * QLoRA: LoRA on quantized weights, beside f32 weights that hold what those mean, and beside transformers and peft on the
 * weights that bitsandbytes gives back (tools/oracle/quantization.py).
 */
import { fileURLToPath } from 'node:url';
import { memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import {
  architectures,
  type CausalLM,
  type LoadOptions,
  loadModel,
  saveModel,
  tokenLossSum,
} from '@graftjs/models';
import { Context, Linear, QuantizedWeight } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { MergeError, PeftModel } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lora } from './lora.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const adapters = { 'llama-gqa-untied': 'lora-llama-gqa-untied-all-linear', gpt2: 'lora-gpt2-all-linear' };
type Base = keyof typeof adapters;
type Storage = LoadOptions<(typeof architectures)[number]>['weights'];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

function relative(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const rms = Math.sqrt(Array.from(b).reduce((sum, v) => sum + v ** 2, 0) / b.length);
  expect(a.length).toBe(b.length);
  return Array.from(b).reduce((worst, v, i) => {
    const error = Math.abs(a[i]! - v) / Math.max(Math.abs(v), rms);
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }, 0);
}

const load = async (base: Base, weights: Storage): Promise<CausalLM> =>
  (await loadModel(fixtures.folder(base), { architectures, weights: weights ?? 'f32' })).model;

const quantizedOf = (model: CausalLM): [string, QuantizedWeight][] =>
  [...model.namedParameters()].flatMap(([name, w]) => (w instanceof QuantizedWeight ? [[name, w]] : []));

/** An f32 model whose weights are those that the quantized ones mean. */
async function dequantized(base: Base, model: CausalLM): Promise<CausalLM> {
  const plain = await load(base, 'f32');
  const own = new Map(plain.namedParameters());
  for (const [name, weight] of quantizedOf(model))
    own.get(name)!.set((await runtime.evaluate([weight]))[0]! as Float32Array<ArrayBuffer>);
  return plain;
}

async function batch(base: Base) {
  const expected = await openSafetensors(await fixtures.folder('quantization').open(`${base}.safetensors`));
  const i32 = async (name: string): Promise<Variable> =>
    new Variable(expected.tensors.get(name)!.shape, Int32Array.from(await expected.readFloat32(name)));
  const mask = await expected.readFloat32('attention_mask');
  const labels = await expected.readFloat32('labels');
  const tokens = expected.tensors.get('labels')!.shape[1]!;
  const supervised = labels.filter((label, i) => label !== -100 && i % tokens > 0).length;
  return { expected, mask, supervised, inputIds: await i32('input_ids'), labels: await i32('labels') };
}

/** Logits, loss and gradients of a model with the adapter of a fixture. */
async function adapted(base: Base, model: CausalLM) {
  const { inputIds, labels, supervised } = await batch(base);
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  await peft.loadAdapter(fixtures.folder(adapters[base]).folder('adapter_start'));
  const trained = peft.trainableParameters();
  const context = new Context({ training: true });
  const loss = mul(tokenLossSum(model.forward({ inputIds }, context), labels), 1 / supervised);
  const logits = model.forward({ inputIds }, new Context());
  return { peft, trained, loss, logits, tensors: [logits, loss, ...gradients(loss, [...trained.values()])] };
}

describe.each(['llama-gqa-untied', 'gpt2'] as const)('%s', (base) => {
  test.each(['nf4', 'int8', { format: 'fp4', doubleQuantization: false }] as const)(
    'logits and every gradient are those of the f32 weights that %o means',
    async (weights) => {
      const model = await load(base, weights);
      expect(quantizedOf(model).length).toBe(base === 'gpt2' ? 8 : 14);
      const plain = await dequantized(base, model);
      const [got, want] = await Promise.all([adapted(base, model), adapted(base, plain)]);
      const [ours, theirs] = [await runtime.evaluate(got.tensors), await runtime.evaluate(want.tensors)];
      for (const [i, values] of theirs.entries())
        expect(relative(ours[i]!, values), `tensor ${i}`).toBeLessThan(1e-5);
    },
  );

  test('logits, loss and gradients of transformers and peft on weights that went through bitsandbytes', async () => {
    const { expected, mask } = await batch(base);
    const { tensors, trained } = await adapted(base, await load(base, 'nf4'));
    const [logits, loss, ...grads] = await runtime.evaluate(tensors);
    const seen = (values: ArrayLike<number>): number[] =>
      Array.from(values).filter((_, i) => mask[Math.floor(i / 96)] === 1);
    expect(relative(seen(logits!), seen(await expected.readFloat32('logits')))).toBeLessThan(1e-5);
    expect(relative(loss!, await expected.readFloat32('loss'))).toBeLessThan(1e-5);
    for (const [i, key] of [...trained.keys()].entries()) {
      const wanted = await expected.readFloat32(`gradient.${key.replace('.default.', '.')}`);
      expect(relative(grads[i]!, wanted), key).toBeLessThan(5e-5);
    }
  });
});

test('a step trains the adapter, leaves the base as it is, and has no weight in memory whole', async () => {
  const model = await load('llama-gqa-untied', 'nf4');
  const { trained, loss } = await adapted('llama-gqa-untied', model);
  const before = await Promise.all(
    quantizedOf(model).flatMap(([, w]) => w.parts.map((p) => runtime.read(p))),
  );
  const optimizer = new AdamW(trained);
  const { updates } = optimizer.update(gradients(loss, [...trained.values()]));
  const program = await runtime.compile({ outputs: [loss], updates });
  const [first] = await program.run();
  for (let i = 0; i < 20; i++) {
    optimizer.beginStep(1e-2);
    await program.run();
  }
  expect((await program.run())[0]![0]!).toBeLessThan(first![0]!);
  const after = await Promise.all(quantizedOf(model).flatMap(([, w]) => w.parts.map((p) => runtime.read(p))));
  expect(after).toEqual(before);
});

test('merging asks first, rounds nothing, and is taken back to the quantized weights', async () => {
  const model = await load('llama-gqa-untied', 'nf4');
  const { peft, logits } = await adapted('llama-gqa-untied', model);
  const { inputIds } = await batch('llama-gqa-untied');
  const weights = quantizedOf(model);
  await expect(peft.merge()).rejects.toThrow(MergeError);
  await expect(peft.merge()).rejects.toThrow(/nf4.*quantized.*f32.*dequantize: true/);
  const [before] = await runtime.evaluate([logits]);
  await peft.merge({ dequantize: true });
  expect(quantizedOf(model)).toEqual([]);
  const [merged] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
  expect(relative(merged!, before!)).toBeLessThan(1e-4);
  await peft.unmerge();
  expect(quantizedOf(model).map(([, w]) => w)).toEqual(weights.map(([, w]) => w));
  expect((await runtime.evaluate([model.forward({ inputIds }, new Context())]))[0]).toEqual(before);
});

test('a saved model has the numbers that its weights mean', async () => {
  const loaded = await loadModel(fixtures.folder('gpt2'), { architectures, weights: 'nf4' });
  const folder = memoryFolder();
  await saveModel(runtime, folder, loaded);
  const again = await loadModel(folder, { architectures, weights: 'f32' });
  const saved = new Map(again.model.namedParameters());
  for (const [name, weight] of quantizedOf(loaded.model))
    expect(saved.get(name)!.pending).toEqual((await runtime.evaluate([weight]))[0]);
});

test('layers that are kept, and those that never are quantized', async () => {
  const model = await load('llama-gqa-untied', { format: 'nf4', keep: ['mlp.down_proj'] });
  const kinds = [...model.namedModules()].flatMap(([path, m]): [string, boolean][] =>
    m instanceof Linear ? [[path, m.weight instanceof QuantizedWeight]] : [],
  );
  for (const [path, isQuantized] of kinds)
    expect(isQuantized, path).toBe(path !== 'lm_head' && !path.endsWith('down_proj'));
});
