import { memoryFolder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { CausalLM } from '@graftjs/models';
import { Context, Linear, Module } from '@graftjs/nn';
import { PeftModel, TargetError } from '@graftjs/peft';
import { gradients, sum, type Tensor, Variable } from '@graftjs/tensor';
import { smallModel, smallSeq2Seq } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type PrefixTuningOptions, parsePrefixTuningConfig, prefixTuningConfig } from './config.ts';
import { prefixTuning } from './prefix-tuning.ts';

let gpu: Gpu;
let runtime: Runtime;
let model: CausalLM;
let peft: PeftModel<CausalLM>;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());
beforeEach(() => use('llama'));

function use(modelType: string): void {
  runtime = new Runtime(gpu);
  model = smallModel(modelType);
  peft = new PeftModel(model, { runtime, tuners: [prefixTuning] });
}

const add = (options: Partial<PrefixTuningOptions> = {}, name = 'default') =>
  peft.addAdapter(name, prefixTuningConfig({ numVirtualTokens: 3, ...options }));
const idsOf = (ids: readonly number[]): Variable => new Variable([1, ids.length], Int32Array.from(ids));
const forward = (ids: readonly number[], segments?: Tensor): Tensor =>
  model.forward({ inputIds: idsOf(ids), ...(segments ? { segments } : {}) }, new Context());
const text = [5, 6, 7, 8];
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
};

test.each(['llama', 'gpt2'])('%s: each of several packed texts has the prefix', async (modelType) => {
  use(modelType);
  await add();
  const [first, second] = [text, [30, 31, 32]];
  const bounds = [...first.flatMap(() => [0, 4]), ...second.flatMap(() => [4, 7])];
  const segments = new Variable([1, 7, 2], Int32Array.from(bounds));
  const [packed, a, b] = await runtime.evaluate([
    forward([...first, ...second], segments),
    forward(first),
    forward(second),
  ]);
  expect(distance(packed!, [...a!, ...b!])).toBeLessThan(2e-5);
});

test('zero keys and values take their share of attention', async () => {
  const [base] = await runtime.evaluate([forward(text)]);
  for (const prefixProjection of [false, true]) {
    const name = `zero ${prefixProjection}`.replace(' ', '-');
    await add({ initWeights: 'zero', prefixProjection }, name);
    peft.setAdapter(name);
    const files = await peft.encodeAdapter(name);
    const report = await peft.loadAdapter(memoryFolder(new Map(Object.entries(files))), `${name}-again`);
    expect(report.missing).toEqual([]);
    const [logits] = await runtime.evaluate([forward(text)]);
    expect(distance(logits!, base!)).toBeGreaterThan(1e-2);
  }
});

test('several prefixes stand one in front of the other', async () => {
  await add({}, 'one');
  await add({ numVirtualTokens: 2 }, 'two');
  const rows = [];
  for (const name of ['two', 'one']) {
    peft.setAdapter(name);
    rows.push(...((await runtime.read([...peft.trainableParameters().values()][0]!)) as Float32Array));
  }
  peft.setAdapter(['one', 'two']);
  const [both] = await runtime.evaluate([forward(text)]);
  await add({ numVirtualTokens: 5 }, 'joined');
  peft.setAdapter('joined');
  [...peft.trainableParameters().values()][0]!.set(Float32Array.from(rows));
  const [joined] = await runtime.evaluate([forward(text)]);
  expect(distance(both!, joined!)).toBeLessThan(1e-5);
});

test('a projection becomes the prefix itself in a file; training goes on with that', async () => {
  await add({ prefixProjection: true, encoderHiddenSize: 6 });
  const [before] = await runtime.evaluate([forward(text)]);
  const folder = memoryFolder(new Map(Object.entries(await peft.encodeAdapter())));
  expect(JSON.parse(await folder.readText('adapter_config.json'))).toMatchObject({
    peft_type: 'PREFIX_TUNING',
    prefix_projection: true,
    encoder_hidden_size: 6,
    token_dim: 8,
    num_attention_heads: 2,
    num_layers: 2,
  });
  const report = await peft.loadAdapter(folder, 'again');
  expect(report.warnings).toEqual([
    'the projection is not in the file: training goes on with the prefix itself',
  ]);
  peft.setAdapter('again');
  expect((await runtime.evaluate([forward(text)]))[0]).toEqual(before);
  expect([...peft.trainableParameters()].map(([name, { shape }]) => [name, shape])).toEqual([
    ['prompt_encoder.again.embedding.weight', [3, 2 * 2 * 8]],
  ]);
});

test('the gradient of the projection is computed once, not once a layer', async () => {
  await add({ prefixProjection: true, encoderHiddenSize: 64 });
  const trained = [...peft.trainableParameters().values()];
  const loss = sum(forward(text));
  const program = await runtime.compile({ outputs: gradients(loss, trained) });
  const products = program.explain().steps.filter(({ label }) => label.startsWith('matmul'));
  // Of the last layer: its output, and the gradients of its input and its weight, [3, 64] and [64, 32].
  const large = products.filter(({ flops }) => flops >= 2 * 3 * 64 * 32);
  expect(large.length).toBeLessThanOrEqual(3);
});

test('what does not fit the model is refused', async () => {
  const cases: [Partial<PrefixTuningOptions>, string][] = [
    [{ tokenDim: 16 }, 'token_dim: must be 8 for this model'],
    [{ numAttentionHeads: 4 }, 'num_attention_heads: must be 2 for this model'],
    [{ numLayers: 1 }, 'num_layers: must be 2 for this model'],
    [{ taskType: 'SEQ_2_SEQ_LM' }, 'num_transformer_submodules = 2 is not supported'],
  ];
  for (const [options, message] of cases) await expect(add(options)).rejects.toThrow(message);
  expect(() => prefixTuningConfig({ numVirtualTokens: 2, initWeights: 'one' as 'zero' })).toThrow(
    'null or "zero"',
  );
  class Bare extends Module {
    readonly layer: Linear = new Linear(2, 2);
  }
  const bare = new PeftModel(new Bare(), { runtime, tuners: [prefixTuning] });
  await expect(bare.addAdapter('a', prefixTuningConfig({ numVirtualTokens: 1 }))).rejects.toThrow(
    TargetError,
  );
});

test('an encoder-decoder has the prefix in its decoder, and as such alone', async () => {
  const seq2seq = smallSeq2Seq('t5');
  const own = new PeftModel(seq2seq, { runtime, tuners: [prefixTuning] });
  await expect(own.addAdapter('one', prefixTuningConfig({ numVirtualTokens: 2 }))).rejects.toThrow(
    'set task_type to SEQ_2_SEQ_LM',
  );
  const config = prefixTuningConfig({ numVirtualTokens: 2, taskType: 'SEQ_2_SEQ_LM' });
  await own.addAdapter('two', config);
  expect(own.attached('two').targets).toEqual(['decoder.block.0.layer.0.SelfAttention']);
  expect(own.configOf('two')).toMatchObject({ numTransformerSubmodules: 2, numLayers: 1, tokenDim: 16 });
  const three = prefixTuningConfig({ numVirtualTokens: 2, numTransformerSubmodules: 3 });
  await expect(own.addAdapter('three', three)).rejects.toThrow(
    'num_transformer_submodules = 3 is not supported',
  );
});

test('keys that are unknown are reported', () => {
  expect(parsePrefixTuningConfig({ num_virtual_tokens: 2, flat: true }).unknownKeys).toEqual(['flat']);
});
