import { fileURLToPath } from 'node:url';
import { type MemoryFiles, memoryFolder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadTokenizer } from '@graftjs/data';
import { architectures, type CausalLM, loadModel } from '@graftjs/models';
import { Context, Linear, Module } from '@graftjs/nn';
import {
  AdapterStateError,
  ConfigError,
  PeftModel,
  TargetError,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { ShapeError, Variable } from '@graftjs/tensor';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { smallModel } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type PromptTuningOptions, parsePromptTuningConfig, promptTuningConfig } from './config.ts';
import { promptTuning, promptTuningWith } from './prompt-tuning.ts';

let gpu: Gpu;
let runtime: Runtime;
let model: CausalLM;
let peft: PeftModel<CausalLM>;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());
beforeEach(() => {
  runtime = new Runtime(gpu);
  model = smallModel('llama');
  peft = new PeftModel(model, { runtime, tuners: [promptTuning] });
});

const idsOf = (ids: readonly number[]): Variable => new Variable([1, ids.length], Int32Array.from(ids));
const logitsOf = async (ids: readonly number[]): Promise<Float32Array> =>
  (await runtime.evaluate([model.forward({ inputIds: idsOf(ids) }, new Context())]))[0] as Float32Array;
const rowsOf = async (of: PeftModel = peft): Promise<Float32Array> =>
  (await runtime.read([...of.trainableParameters().values()][0]!)) as Float32Array;
/** Row `id` of the base's embeddings. */
const embeddingOf = async (id: number): Promise<Float32Array> => {
  const { weight, dim } = model.inputEmbeddings;
  return ((await runtime.read(weight)) as Float32Array).slice(id * dim, (id + 1) * dim);
};
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
};
const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));

describe('virtual tokens start', () => {
  test('standard normal, from their seed alone', async () => {
    const config = promptTuningConfig({ numVirtualTokens: 200 });
    for (const [name, seed] of [
      ['a', 1],
      ['b', 1],
      ['c', 2],
    ] as const)
      await peft.addAdapter(name, config, { seed });
    const read = async (name: string): Promise<Float32Array> => {
      peft.setAdapter(name);
      return rowsOf();
    };
    const rows = await read('a');
    expect(rows.length).toBe(200 * 16);
    expect(await read('b')).toEqual(rows);
    expect(await read('c')).not.toEqual(rows);
    const deviation = Math.sqrt(rows.reduce((sum, x) => sum + x * x, 0) / rows.length);
    // A standard error of the deviation of 3200 numbers is 1.3 %.
    expect(Math.abs(deviation - 1)).toBeLessThan(0.06);
  });

  test('as embeddings of random tokens', async () => {
    await peft.addAdapter(
      'a',
      promptTuningConfig({ numVirtualTokens: 40, promptTuningInit: 'SAMPLE_VOCAB' }),
    );
    const table = await Promise.all(Array.from({ length: 48 }, (_, id) => embeddingOf(id)));
    const rows = await rowsOf();
    const found = Array.from({ length: 40 }, (_, i) =>
      table.findIndex((row) => row.every((x, k) => x === rows[i * 16 + k])),
    );
    expect(found).not.toContain(-1);
    expect(new Set(found).size).toBeGreaterThan(20);
  });

  test("as the text's embeddings: the tokens that PEFT takes", async () => {
    const base = nodeFolder(tinyLlamaFolder);
    ({ model } = await loadModel(base, { architectures, runtime }));
    const tokenizer = loadTokenizer({ tokenizerJson: JSON.parse(await base.readText('tokenizer.json')) });
    const tuner = promptTuningWith({ encode: (text) => tokenizer.encode(text) });
    const texts = JSON.parse(await fixtures.readText('prompts/initial_texts.json')) as {
      text: string;
      count: number;
      ids: number[];
    }[];
    for (const { text, count, ids } of texts) {
      const adapted = new PeftModel(model, { runtime, tuners: [tuner] });
      await adapted.addAdapter('a', fromText(text, count));
      const wanted = model.inputEmbeddings.forward(idsOf(ids), new Context({ continues: true }));
      const [expected] = await runtime.evaluate([wanted]);
      expect([...(await rowsOf(adapted))]).toEqual([...expected!]);
      adapted.unload();
    }
  });

  test('so, they count as that text in front', async () => {
    const [front, rest] = [
      [3, 14, 15, 9],
      [26, 5, 35],
    ];
    const whole = await logitsOf([...front, ...rest]);
    peft = new PeftModel(model, { runtime, tuners: [promptTuningWith({ encode: () => front })] });
    await peft.addAdapter('a', fromText('whatever', 4));
    const got = await logitsOf(rest);
    expect(distance(got, whole)).toBeLessThan(1e-5);
  });
});

const fromText = (promptTuningInitText: string, numVirtualTokens: number) =>
  promptTuningConfig({
    numVirtualTokens,
    promptTuningInit: 'TEXT',
    promptTuningInitText,
    tokenizerNameOrPath: 'base',
  });

test('several prompts stand in the order in which they take effect, the last in front', async () => {
  const text = [7, 8, 9];
  const prompts = { a: [1, 2], b: [3, 4, 5] };
  const tuner = promptTuningWith({ encode: (name) => prompts[name as 'a' | 'b'] });
  const wanted = {
    ba: await logitsOf([...prompts.b, ...prompts.a, ...text]),
    ab: await logitsOf([...prompts.a, ...prompts.b, ...text]),
  };
  peft = new PeftModel(model, { runtime, tuners: [tuner] });
  for (const [name, ids] of Object.entries(prompts)) await peft.addAdapter(name, fromText(name, ids.length));
  for (const [order, logits] of [
    [['a', 'b'], wanted.ba],
    [['b', 'a'], wanted.ab],
  ] as const) {
    peft.setAdapter(order);
    const got = await logitsOf(text);
    expect(distance(got, logits)).toBeLessThan(1e-5);
  }
});

test('packed texts are refused: the prompt would stand in front of the first alone', async () => {
  await peft.addAdapter('a', promptTuningConfig({ numVirtualTokens: 2 }));
  const segments = new Variable([1, 4, 2], Int32Array.of(0, 2, 0, 2, 2, 4, 2, 4));
  const build = () => model.forward({ inputIds: idsOf([1, 2, 3, 4]), segments }, new Context());
  expect(build).toThrow(ShapeError);
  expect(build).toThrow('a virtual prompt of 2 tokens belongs in front of each text');
  peft.disableAdapters();
  expect(build).not.toThrow();
});

describe('refused is', () => {
  const refusals: [string, Partial<PromptTuningOptions>, string, string][] = [
    ['no number of virtual tokens', {}, 'numVirtualTokens', 'must be a whole number from 1 on, got null'],
    ['none of them', { numVirtualTokens: 0 }, 'numVirtualTokens', 'got 0'],
    [
      'a text without a tokenizer for PEFT',
      { numVirtualTokens: 1, promptTuningInit: 'TEXT', promptTuningInitText: 'a' },
      'tokenizer_name_or_path',
      'for PEFT to read the adapter',
    ],
    [
      'an initial text that is missing',
      { numVirtualTokens: 1, promptTuningInit: 'TEXT', tokenizerNameOrPath: 'base' },
      'prompt_tuning_init_text',
      'the text to start from',
    ],
    [
      'options of a tokenizer without a text',
      { numVirtualTokens: 1, tokenizerKwargs: { use_fast: true } },
      'tokenizer_kwargs',
      'prompt_tuning_init TEXT only',
    ],
    [
      'an unknown start',
      { numVirtualTokens: 1, promptTuningInit: 'ZERO' as 'TEXT' },
      'promptTuningInit',
      'one of "TEXT", "SAMPLE_VOCAB", "RANDOM"',
    ],
  ];
  test.each(refusals)('%s', (_, options, key, message) => {
    const make = () => promptTuningConfig(options as PromptTuningOptions);
    expect(make).toThrow(ConfigError);
    expect(make).toThrow(key);
    expect(make).toThrow(message);
  });

  test('what does not fit the model', async () => {
    const add = (options: Partial<PromptTuningOptions>) =>
      peft.addAdapter('a', promptTuningConfig({ numVirtualTokens: 2, ...options }));
    await expect(add({ tokenDim: 12 })).rejects.toThrow(
      'token_dim: must be 16 for this model, or left out; got 12',
    );
    await expect(add({ taskType: 'SEQ_2_SEQ_LM' })).rejects.toThrow(UnsupportedConfigError);
    expect(peft.adapters).toEqual([]);
    await add({ taskType: 'SEQ_2_SEQ_LM', numTransformerSubmodules: 1, tokenDim: 16 });
    expect(peft.configOf('a')).toMatchObject({ tokenDim: 16, numLayers: 2, numAttentionHeads: 4 });
  });

  test('a text that the tokenizer or the model cannot take', async () => {
    const start = (encode?: (text: string) => number[]) =>
      new PeftModel(model, {
        runtime,
        tuners: [promptTuningWith(encode ? { encode } : {})],
      }).addAdapter('a', fromText('text', 2));
    await expect(start()).rejects.toThrow('needs a tokenizer');
    await expect(start(() => [])).rejects.toThrow('has no tokens');
    await expect(start(() => [1, 48])).rejects.toThrow('has token 48, and the model has 48 embeddings');
  });

  test('a model without input embeddings', async () => {
    class Bare extends Module {
      readonly layer: Linear = new Linear(2, 2);
    }
    const bare = new PeftModel(new Bare(), { runtime, tuners: [promptTuning] });
    await expect(bare.addAdapter('a', promptTuningConfig({ numVirtualTokens: 1 }))).rejects.toThrow(
      TargetError,
    );
  });

  test('merging', async () => {
    await peft.addAdapter('a', promptTuningConfig({ numVirtualTokens: 1 }));
    await expect(peft.merge()).rejects.toThrow('PROMPT_TUNING is no change of weights');
  });

  test('a file of another length', async () => {
    await peft.addAdapter('a', promptTuningConfig({ numVirtualTokens: 3 }));
    const files: MemoryFiles = new Map(Object.entries(await peft.encodeAdapter('a')));
    const config = JSON.parse(new TextDecoder().decode(files.get('adapter_config.json')));
    files.set(
      'adapter_config.json',
      new TextEncoder().encode(JSON.stringify({ ...config, num_virtual_tokens: 4 })),
    );
    const load = peft.loadAdapter(memoryFolder(files), 'b');
    await expect(load).rejects.toThrow(AdapterStateError);
    await expect(load).rejects.toThrow('prompt_embeddings is [3,16], needs [4,16]');
    expect(peft.adapters).toEqual(['a']);
  });
});

test('keys that are unknown are reported', () => {
  const { config, unknownKeys } = parsePromptTuningConfig({ num_virtual_tokens: 2, prompt_size: 3 });
  expect(unknownKeys).toEqual(['prompt_size']);
  expect(config.promptTuningInit).toBe('RANDOM');
});
