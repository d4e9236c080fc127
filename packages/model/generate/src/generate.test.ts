import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { architectures, type CausalLM, type LlamaForCausalLM, llama, loadModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { add, concat, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ContextLengthError, Generator, LogitsError, Sampler } from './index.ts';

const fixtures = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));
const greedyBases = [
  'llama-gqa-tied',
  'mistral-window',
  'qwen2',
  'qwen2-window',
  'gpt2',
  'gpt2-variant',
  'llama-dynamic',

  'qwen3',
  'qwen3-variant',
  'gpt-neox',
  'gpt-neox-variant',
  'opt',
  'opt-variant',
  'gemma',
  'gemma2',
  'gemma3',
  'phi3',
  'phi3-longrope',
];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const idsOf = (ids: readonly number[]): Variable =>
  new Variable([1, ids.length], Int32Array.from(ids), { dtype: 'i32' });

const anyModelOf = async (base: string): Promise<CausalLM> =>
  (await loadModel(nodeFolder(`${fixtures}${base}`), { architectures, runtime })).model;
const modelOf = async (base: string): Promise<LlamaForCausalLM> =>
  (await loadModel(nodeFolder(`${fixtures}${base}`), { architectures: [llama], runtime })).model;

/** The greedy tokens of transformers: prompt, and what it continues with. */
async function greedyOf(base: string): Promise<{ prompt: number[]; made: number[] }> {
  const expected = await openSafetensors(await nodeFolder(`${fixtures}${base}`).open('expected.safetensors'));
  const prompt = [...(await expected.readFloat32('greedy.input_ids'))];
  return { prompt, made: [...(await expected.readFloat32('greedy.output_ids'))].slice(prompt.length) };
}

/** Greedy tokens without a cache: the whole text is read again for each of them. */
async function uncached(model: CausalLM, prompt: readonly number[], count: number): Promise<number[]> {
  const total = prompt.length + count;
  const inputIds = new Variable([1, total], undefined, { dtype: 'i32' });
  const program = await runtime.compile({ outputs: [model.forward({ inputIds }, new Context())] });
  const ids = [...prompt];
  for (let at = prompt.length - 1; ids.length < total; at++) {
    inputIds.set(Int32Array.from({ length: total }, (_, i) => ids[i] ?? 0));
    const [logits] = await program.run();
    const { vocabSize } = model.config;
    ids.push(new Sampler().next((logits as Float32Array).subarray(at * vocabSize, (at + 1) * vocabSize)));
  }
  return ids.slice(prompt.length);
}

test.each(greedyBases)(
  '%s: greedy tokens are those of transformers, with a cache and without',
  async (base) => {
    const model = await anyModelOf(base);
    const { prompt, made } = await greedyOf(base);
    const generator = new Generator(runtime, model);
    const options = { maxNewTokens: made.length, stopIds: [] };
    expect(await generator.generate(prompt, options)).toEqual(made);
    expect(await generator.generate(prompt, options), 'the cache starts anew').toEqual(made);
    // There, too, a cache keeps keys of the frequencies that shorter texts had.
    const byLength = base === 'llama-dynamic' || base === 'phi3-longrope';
    if (!byLength) expect(await uncached(model, prompt, made.length)).toEqual(made);
    generator.close();
  },
);

test.each(['llama-gqa-untied', 'llama3-rope', 'mistral-window'])(
  '%s: across the length that prompts are padded to, the cache changes no token',
  async (base) => {
    const model = await modelOf(base);
    const generator = new Generator(runtime, model);
    const prompt = Array.from({ length: 63 }, (_, i) => (i * 37 + 11) % model.config.vocabSize);
    for (const length of [63, 1]) {
      const start = prompt.slice(0, length);
      const made = await generator.generate(start, { maxNewTokens: 6, stopIds: [] });
      expect(made, `prompt of ${length}`).toEqual(await uncached(model, start, 6));
    }
    generator.close();
  },
);

test('what attachments put in front stays in front of every token', async () => {
  const { prompt, made } = await greedyOf('llama-gqa-tied');
  const options = { maxNewTokens: made.length, stopIds: [] };
  const [front, rest] = [prompt.slice(0, 2), prompt.slice(2)];

  const prompted = await modelOf('llama-gqa-tied');
  const rows = await runtime.materialize(prompted.model.embed_tokens.forward(idsOf(front), new Context()));
  prompted.model.embed_tokens.output.attach('prompt', (embedded, { context }) =>
    context.continues ? embedded : concat([rows, embedded], 1),
  );
  expect(await new Generator(runtime, prompted).generate(rest, options)).toEqual(made);

  const prefixed = await modelOf('llama-gqa-tied');
  const seen: Tensor[][] = prefixed.model.layers.map(() => []);
  const { layers } = prefixed.model;
  for (const [i, { self_attn }] of layers.entries())
    for (const [k, site] of [self_attn.keys, self_attn.values].entries())
      site.attach('look', (value) => (seen[i]![k] = value));
  prefixed.hiddenStates({ inputIds: idsOf(front) }, new Context());
  for (const [i, { self_attn }] of layers.entries())
    for (const [k, site] of [self_attn.keys, self_attn.values].entries()) {
      site.detach('look');
      const prefix = await runtime.materialize(seen[i]![k]!);
      site.attach('prefix', (value, { context }) => (context.continues ? value : concat([prefix, value], 2)));
    }
  prefixed.model.positions.attach('prefix', (positions, { context }) =>
    context.continues ? positions : add(positions, front.length),
  );
  const generator = new Generator(runtime, prefixed);
  expect(await generator.generate(rest, options)).toEqual(made);
  await expect(generator.generate(rest, { maxNewTokens: 124 })).rejects.toThrow(
    '2 positions that adapters put in front',
  );
});

test('texts made at the same time do not disturb each other', async () => {
  const generator = new Generator(runtime, await modelOf('llama-gqa-tied'));
  const options = { maxNewTokens: 8, stopIds: [] };
  const prompts = [[5, 6, 7], [50, 2, 9, 31], [1]];
  const alone: number[][] = [];
  for (const prompt of prompts) alone.push(await generator.generate(prompt, options));
  expect(new Set(alone.map(String)).size).toBe(prompts.length);
  expect(await Promise.all(prompts.map((prompt) => generator.generate(prompt, options)))).toEqual(alone);
  generator.close();
});

test('sampled texts repeat with their seed; a text ends at a stop token, on request, and when left', async () => {
  const generator = new Generator(runtime, await modelOf('llama-gqa-tied'));
  const sample = (seed: number) =>
    generator.generate([5, 6, 7], {
      maxNewTokens: 12,
      temperature: 1.5,
      topK: 40,
      topP: 0.95,
      seed,
      stopIds: [],
    });
  const first = await sample(1);
  expect(await sample(1)).toEqual(first);
  expect(await sample(2)).not.toEqual(first);

  const whole = await generator.generate([5, 6, 7], { maxNewTokens: 12, stopIds: [] });
  const at = whole.findIndex((id, i) => i > 0 && !whole.slice(0, i).includes(id));
  expect(at).toBeGreaterThan(0);
  const stopped = await generator.generate([5, 6, 7], { maxNewTokens: 12, stopIds: [whole[at]!] });
  expect(stopped).toEqual(whole.slice(0, at));

  const abort = new AbortController();
  const made: number[] = [];
  for await (const id of generator.stream([5, 6, 7], {
    maxNewTokens: 12,
    stopIds: [],
    signal: abort.signal,
  })) {
    made.push(id);
    if (made.length === 3) abort.abort();
  }
  expect(made).toEqual(whole.slice(0, 3));

  for await (const id of generator.stream([9], { maxNewTokens: 12, stopIds: [] })) if (id >= 0) break;
  expect(await generator.generate([5, 6, 7], { maxNewTokens: 12, stopIds: [] })).toEqual(whole);
  generator.close();
  await expect(generator.generate([5], { maxNewTokens: 1 })).rejects.toThrow('closed');
});

test('a second text takes no more memory, and closing frees the cache', async () => {
  // A device of its own: nothing else is freed on it meanwhile.
  const own = await openGpu();
  const { model } = await loadModel(nodeFolder(`${fixtures}llama-gqa-tied`), { architectures: [llama] });
  const generator = new Generator(new Runtime(own), model);
  const options = { maxNewTokens: 2, stopIds: [] };
  await generator.generate([1, 2], options);
  const before = own.stats().bytesLive;
  await generator.generate([1, 2, 3], options);
  expect(own.stats().bytesLive).toBe(before);
  generator.close();
  const { layers, kvHeads, headDim } = model.config;
  const cacheBytes = 2 * layers * kvHeads * 64 * headDim * 4;
  // Beside the keys and values, only the position, in the smallest buffer there is.
  expect(before - own.stats().bytesLive).toBe(cacheBytes + 256);
  own.close();
});

test('what does not fit is refused', async () => {
  const model = await modelOf('llama-gqa-tied');
  const generator = new Generator(runtime, model);
  await expect(generator.generate([], { maxNewTokens: 1 })).rejects.toThrow('the prompt is empty');
  await expect(generator.generate([1, 2], { maxNewTokens: 127 })).rejects.toThrow(
    expect.objectContaining({ promptTokens: 2, maxNewTokens: 127, maxPositions: 128 }) as ContextLengthError,
  );
  await expect(generator.generate([1e6], { maxNewTokens: 1 })).rejects.toThrow(
    "not in the model's vocabulary",
  );
  for (const maxNewTokens of [0, -1, 1.5, Number.NaN])
    await expect(generator.generate([1], { maxNewTokens })).rejects.toThrow('maxNewTokens');
  expect((await generator.generate([1, 2], { maxNewTokens: 126, stopIds: [] })).length).toBe(126);
  const { weight } = model.model.norm;
  weight.set(new Float32Array(weight.size).fill(Number.NaN));
  await expect(generator.generate([1], { maxNewTokens: 1 })).rejects.toThrow(LogitsError);
});
