import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { Context, Linear } from '@graftjs/nn';
import { add, concat, gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { architectures, type CausalLM, loadModel, newCache, tokenLossSum } from './index.ts';

/*
 * What is put in front of a text by an attachment must count exactly as if it were text. So the first tokens of a
 * text are handed over as a prompt or prefix, and the logits must be those of transformers for the whole text.
 */

const fixtures = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));
const front = 4;

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const idsOf = (ids: readonly number[], rows = 1): Variable =>
  new Variable([rows, ids.length / rows], Int32Array.from(ids), { dtype: 'i32' });

/** The first row of a fixture, which has no padding, and its logits. */
async function textOf(base: string): Promise<{ model: CausalLM; ids: number[]; logits: number[] }> {
  const folder = nodeFolder(`${fixtures}${base}`);
  const { model } = await loadModel(folder, { architectures });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const tokens = expected.tensors.get('input_ids')!.shape[1]!;
  const ids = [...(await expected.readFloat32('input_ids'))].slice(0, tokens);
  const logits = [...(await expected.readFloat32('logits'))].slice(0, tokens * model.config.vocabSize);
  return { model, ids, logits };
}

function worst(got: ArrayLike<number>, expected: readonly number[]): number {
  expect(got.length).toBe(expected.length);
  const rms = Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0) / expected.length);
  return expected.reduce(
    (most, x, i) => Math.max(most, Math.abs(got[i]! - x) / Math.max(Math.abs(x), rms)),
    0,
  );
}

/** A virtual prompt with the embeddings of `ids`. */
async function attachPrompt(model: CausalLM, ids: readonly number[]): Promise<void> {
  const rows = await runtime.materialize(model.inputEmbeddings.forward(idsOf(ids), new Context()));
  model.inputEmbeddings.output.attach('prompt', (embedded, { context }) =>
    context.continues ? embedded : concat([rows, embedded], 1),
  );
}

/** A prefix with the keys and values that `ids` have in each layer. */
async function attachPrefix(model: CausalLM, ids: readonly number[]): Promise<void> {
  const seen: { keys: Tensor; values: Tensor }[] = model.blocks.map(() => ({}) as never);
  const attentions = model.blocks.map(({ parts }) => parts.attention);
  for (const { keys, values } of attentions) {
    keys.attach('look', (k, { layerIndex }) => (seen[layerIndex]!.keys = k));
    values.attach('look', (v, { layerIndex }) => (seen[layerIndex]!.values = v));
  }
  model.hiddenStates({ inputIds: idsOf(ids) }, new Context());
  for (const { keys, values } of attentions) {
    keys.detach('look');
    values.detach('look');
  }
  for (const [i, attention] of attentions.entries()) {
    const keys = await runtime.materialize(seen[i]!.keys);
    const values = await runtime.materialize(seen[i]!.values);
    attention.keys.attach('prefix', (k, { context }) => (context.continues ? k : concat([keys, k], 2)));
    attention.values.attach('prefix', (v, { context }) => (context.continues ? v : concat([values, v], 2)));
  }
  model.positions.attach('prefix', (positions, { context }) =>
    context.continues ? positions : add(positions, ids.length),
  );
}

const attachments = { prompt: attachPrompt, prefix: attachPrefix };
const kinds = ['prompt', 'prefix'] as const;
const bases = ['llama-gqa-tied', 'qwen2', 'gpt2', 'gpt2-variant'];
/** With its own kind of attention each. */
const two = kinds.flatMap((kind) => ['llama-gqa-tied', 'gpt2-variant'].map((base) => [kind, base] as const));

test.each(kinds)('a %s counts as text in front', async (kind) => {
  for (const base of bases) {
    const { model, ids, logits } = await textOf(base);
    await attachments[kind](model, ids.slice(0, front));
    const inputIds = idsOf(ids.slice(front));
    const got = (await runtime.evaluate([model.forward({ inputIds }, new Context())]))[0] as Float32Array;
    const vocab = model.config.vocabSize;
    expect(worst(got.slice(-inputIds.size * vocab), logits.slice(front * vocab)), base).toBeLessThan(1e-4);
  }
});

test.each(two)('a %s is there for tokens that continue from a cache: %s', async (kind, base) => {
  const { model, ids, logits } = await textOf(base);
  await attachments[kind](model, ids.slice(0, front));
  const vocab = model.config.vocabSize;
  const cache = newCache(model, 1, 32);
  const pass = async (tokens: readonly number[], position: number): Promise<Float32Array> => {
    const context = new Context({ continues: position > 0 });
    const output = model.forward({ inputIds: idsOf(tokens), cache }, context);
    const program = await runtime.compile({ outputs: [output], updates: cache.takeUpdates() });
    cache.position.set(Int32Array.of(position));
    return ((await program.run())[0] as Float32Array).slice(-tokens.length * vocab);
  };
  const split = front + 3;
  const first = await pass(ids.slice(front, split), 0);
  expect(cache.rows).toBe(split);
  expect(worst(first, logits.slice(front * vocab, split * vocab))).toBeLessThan(1e-4);
  for (let at = split; at < ids.length; at++) {
    const next = await pass(ids.slice(at, at + 1), at);
    expect(cache.rows).toBe(1);
    expect(worst(next, logits.slice(at * vocab, (at + 1) * vocab)), `token ${at}`).toBeLessThan(1e-4);
  }
});

test.each(two)('a key mask of the text leaves a %s to be seen: %s', async (kind, base) => {
  const { model, ids, logits } = await textOf(base);
  await attachments[kind](model, ids.slice(0, front));
  const rest = ids.slice(front);
  const inputIds = idsOf([...rest, 0, 0]);
  const keyMask = idsOf([...rest.map(() => 1), 0, 0]);
  const got = (
    await runtime.evaluate([model.forward({ inputIds, keyMask }, new Context())])
  )[0] as Float32Array;
  const vocab = model.config.vocabSize;
  const text = got.slice(-inputIds.size * vocab).slice(0, rest.length * vocab);
  expect(worst(text, logits.slice(front * vocab))).toBeLessThan(1e-4);
});

test('the loss after a virtual prompt learns the first token, and reaches the prompt', async () => {
  const { model, ids, logits } = await textOf('llama-gqa-tied');
  const vocab = model.config.vocabSize;
  const embedded = model.inputEmbeddings.forward(idsOf(ids.slice(0, front)), new Context());
  const prompt = await runtime.materialize(embedded);
  model.inputEmbeddings.output.attach('prompt', (rows) => concat([prompt, rows], 1));
  const rest = ids.slice(front);
  const loss = tokenLossSum(model.forward({ inputIds: idsOf(rest) }, new Context()), idsOf(rest));
  const [got, slope] = await runtime.evaluate([loss, ...gradients(loss, [prompt])]);
  let expected = 0;
  for (const [i, id] of rest.entries()) {
    const row = logits.slice((front + i - 1) * vocab, (front + i) * vocab);
    const most = Math.max(...row);
    expected += Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0)) + most - row[id]!;
  }
  expect(Math.abs(got![0]! - expected) / expected).toBeLessThan(1e-5);
  expect((slope as Float32Array).some((x) => Math.abs(x) > 1e-3)).toBe(true);
});

test('the loss of a single token has nothing to learn', async () => {
  const { model, ids } = await textOf('llama-gqa-tied');
  const one = idsOf(ids.slice(0, 1));
  const [loss] = await runtime.evaluate([tokenLossSum(model.forward({ inputIds: one }, new Context()), one)]);
  expect(loss![0]).toBe(0);
});

test.each(['llama-gqa-tied', 'gpt2-variant'])(
  '%s: sub-layer outputs and embeddings are sites',
  async (base) => {
    const { model, ids } = await textOf(base);
    const inputIds = idsOf(ids);
    const seen = new Map<string, readonly number[]>();
    const half = (name: string) => (value: Tensor) => {
      seen.set(name, value.shape);
      return mul(value, 0.5);
    };
    const block = model.blocks[1]!;
    const { attention } = block.parts;
    const linear = [...attention.namedModules()].map(([, m]) => m).find((m) => m instanceof Linear)!;
    const plain = model.forward({ inputIds }, new Context());
    const change = async (attach: () => void, detach: () => boolean): Promise<number> => {
      attach();
      const [a, b] = await runtime.evaluate([plain, model.forward({ inputIds }, new Context())]);
      expect(detach()).toBe(true);
      return worst(b!, [...(a as Float32Array)]);
    };
    for (const [name, site] of Object.entries({
      embeddings: model.inputEmbeddings.output,
      attention: block.attentionOutput,
      mlp: block.mlpOutput,
      keys: attention.keys,
      values: attention.values,
      linear: linear.output,
      head: model.outputEmbeddings.output,
    }))
      expect(
        await change(
          () => site.attach('half', half(name)),
          () => site.detach('half'),
        ),
        name,
      ).toBeGreaterThan(1e-3);
    const { hiddenSize, vocabSize } = model.config;
    const { kvHeads, headDim } = attention.heads;
    expect(Object.fromEntries(seen)).toEqual({
      embeddings: [1, ids.length, hiddenSize],
      attention: [1, ids.length, hiddenSize],
      mlp: [1, ids.length, hiddenSize],
      keys: [1, kvHeads, ids.length, headDim],
      values: [1, kvHeads, ids.length, headDim],
      linear: [1, ids.length, linear.outFeatures],
      head: [1, ids.length, vocabSize],
    });
  },
);
