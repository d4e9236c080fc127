import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '@graftjs/checkpoint';
import { describe, expect, test } from 'vitest';
import { ConfigError, type LlamaConfig, LlamaForCausalLM, llama, parseConfig } from '../index.ts';

const fixtures = fileURLToPath(new URL('../../../../../tools/oracle/fixtures/', import.meta.url));
const bases = [
  'llama-gqa-tied',
  'llama-gqa-untied',
  'llama3-rope',
  'llama-headdim',
  'mistral',
  'mistral-window',
  'qwen2',
  'llama-biases',
  'qwen2-window',
  'qwen3',
  'qwen3-variant',
];

const parseLlamaConfig = (json: JsonObject, generation: JsonObject = {}): LlamaConfig =>
  parseConfig(json, { architectures: [llama], generation });

const good = {
  model_type: 'llama',
  vocab_size: 8,
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
};
const windowsOf = (change: Record<string, unknown>) => {
  const config = parseLlamaConfig({ ...good, num_key_value_heads: 2, ...change });
  return Array.from({ length: config.layers }, (_, i) => config.windowOf(i));
};

test.each(bases)('%s: the config of transformers 4 says the same as that of 5', (base) => {
  const [five, four] = ['config.json', 'config.transformers4.json'].map((file) => {
    const config = parseLlamaConfig(JSON.parse(readFileSync(`${fixtures}${base}/${file}`, 'utf8')));
    return { ...config, windowOf: Array.from({ length: config.layers }, (_, i) => config.windowOf(i)) };
  });
  expect(four).toEqual(five);
});

test('a small config makes the model it describes', () => {
  const names = [...new LlamaForCausalLM(parseLlamaConfig(good)).namedParameters()].map(([name]) => name);
  expect(names.length).toBe(2 * 9 + 3);
  expect(names).toContain('lm_head.weight');
});

// The defaults of transformers 5.23.0: models/{llama,mistral,qwen2,qwen3}/configuration_*.py.
describe('where config.json is silent', () => {
  test.each([
    ['llama', { kvHeads: 16, maxPositions: 2048, bosTokenId: 1, eosTokenIds: [2], normEps: 1e-6 }],
    ['mistral', { kvHeads: 8, maxPositions: 131072, bosTokenId: 1, eosTokenIds: [2], normEps: 1e-6 }],
    ['qwen2', { kvHeads: 32, maxPositions: 32768, bosTokenId: undefined, eosTokenIds: [], normEps: 1e-6 }],
    [
      'qwen3',
      {
        kvHeads: 32,
        headDim: 128,
        headNorms: true,
        maxPositions: 32768,
        bosTokenId: undefined,
        eosTokenIds: [],
        normEps: 1e-6,
      },
    ],
  ])('%s has the defaults of transformers', (model_type, expected) => {
    const heads = model_type.startsWith('qwen') ? 32 : 16;
    const config = parseLlamaConfig({ ...good, model_type, hidden_size: 64, num_attention_heads: heads });
    expect(config).toMatchObject({ ...expected, tieWordEmbeddings: false, ropeTheta: 10000, mlpBias: false });
  });

  test('windows', () => {
    expect(windowsOf({ model_type: 'mistral' })).toEqual([4096, 4096]);
    expect(windowsOf({ model_type: 'mistral', sliding_window: null })).toEqual([undefined, undefined]);
    expect(windowsOf({ model_type: 'qwen2', sliding_window: 4 })).toEqual([undefined, undefined]);
    const on = { model_type: 'qwen2', use_sliding_window: true, sliding_window: 4 };
    expect(windowsOf(on)).toEqual([undefined, undefined]);
    expect(windowsOf({ ...on, max_window_layers: 0 })).toEqual([4, 4]);
    expect(windowsOf({ ...on, layer_types: ['sliding_attention', 'full_attention'] })).toEqual([
      4,
      undefined,
    ]);
    expect(windowsOf({ sliding_window: 4 })).toEqual([undefined, undefined]);
  });

  test('null key heads mean one for each query head', () => {
    expect(parseLlamaConfig({ ...good, model_type: 'mistral', num_key_value_heads: null }).kvHeads).toBe(2);
  });

  test('biases are those of the member of the family', () => {
    const biased = { ...good, num_key_value_heads: 2, attention_bias: true, mlp_bias: true };
    expect(parseLlamaConfig(biased)).toMatchObject({ qkvBias: true, outputBias: true, mlpBias: true });
    expect(parseLlamaConfig({ ...biased, model_type: 'mistral' })).toMatchObject({
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
    });
    expect(parseLlamaConfig({ ...biased, model_type: 'qwen2' })).toMatchObject({
      qkvBias: true,
      outputBias: false,
      mlpBias: false,
    });
    expect(parseLlamaConfig({ ...biased, model_type: 'qwen3' })).toMatchObject({
      qkvBias: true,
      outputBias: true,
      mlpBias: false,
    });
  });
});

test('end tokens come from generation_config.json where it names any', () => {
  const config = { ...good, eos_token_id: 5 };
  expect(parseLlamaConfig(config).eosTokenIds).toEqual([5]);
  expect(parseLlamaConfig(config, { eos_token_id: [5, 7] }).eosTokenIds).toEqual([5, 7]);
  expect(parseLlamaConfig(config, { temperature: 1 }).eosTokenIds).toEqual([5]);
  expect(parseLlamaConfig({ ...config, eos_token_id: null }).eosTokenIds).toEqual([]);
  expect(parseLlamaConfig({ ...good, pad_token_id: -1 }).padTokenId).toBeUndefined();
});

test.each<[string, Record<string, unknown>, string, string]>([
  [
    'another model',
    { model_type: 'bloom' },
    'model_type',
    '"bloom" is not among the architectures given; they read llama, mistral, qwen2',
  ],
  ['a name of Object', { model_type: 'toString' }, 'model_type', '"toString" is not among'],
  ['no model type', { model_type: undefined }, 'model_type', 'is missing; they read llama'],
  ['a slip', { model_type: 'lama' }, 'model_type', 'Did you mean llama?'],
  [
    'heads that do not divide',
    { hidden_size: 9 },
    'hidden_size',
    '9 is not a multiple of num_attention_heads, 2',
  ],
  ['key heads that do not divide', { num_key_value_heads: 3 }, 'num_key_value_heads', '3 does not divide'],
  ['an odd head', { head_dim: 3 }, 'head_dim', '3 is odd'],
  ['too many layers', { num_hidden_layers: 1e9 }, 'num_hidden_layers', '1000000000 is not a whole number'],
  ['a fraction', { hidden_size: 8.5 }, 'hidden_size', '8.5 is not a whole number'],
  ['text for a number', { vocab_size: '8' }, 'vocab_size', '"8" is not a whole number'],
  ['a missing key', { vocab_size: undefined }, 'vocab_size', 'is missing'],
  ['NaN', { rms_norm_eps: Number.NaN }, 'rms_norm_eps', 'NaN is not a positive number'],
  ['zero', { rms_norm_eps: 0 }, 'rms_norm_eps', '0 is not a positive number'],
  [
    'text for a flag',
    { tie_word_embeddings: 'true' },
    'tie_word_embeddings',
    '"true" is neither true nor false',
  ],
  ['another activation', { hidden_act: 'gelu' }, 'hidden_act', '"gelu" is not supported'],
  [
    'longrope of another size',
    {
      rope_scaling: { rope_type: 'longrope', short_factor: [1, 2, 3], long_factor: [1, 2] },
      original_max_position_embeddings: 4,
    },
    'rope_scaling.short_factor',
    'must be a list of 2 positive numbers',
  ],
  ['su', { rope_scaling: { rope_type: 'su' } }, 'rope_scaling', 'supported are default, linear, dynamic'],
  ['a factor that is missing', { rope_scaling: { type: 'linear' } }, 'factor', 'is missing'],
  [
    'llama3 factors that cross',
    { rope_parameters: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
    'rope_parameters.high_freq_factor',
    '4 is not above low_freq_factor, 4',
  ],
  [
    'rotation by layer',
    { rope_parameters: { full_attention: {} } },
    'rope_parameters',
    'differ between layers',
  ],
  ['partial rotation', { partial_rotary_factor: 0.5 }, 'partial_rotary_factor', 'a part of the head'],
  ['quantized weights', { quantization_config: { bits: 4 } }, 'quantization_config', 'are not supported'],
  ['an end token that is no id', { eos_token_id: '</s>' }, 'eos_token_id', 'neither a token id nor a list'],
  [
    'layer types of another length',
    {
      model_type: 'qwen2',
      num_key_value_heads: 2,
      use_sliding_window: true,
      layer_types: ['full_attention'],
    },
    'layer_types',
    'for each of 2 layers',
  ],
])('%s is refused by key', (_, change, key, message) => {
  let caught: unknown;
  try {
    parseLlamaConfig({ ...good, ...change });
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(ConfigError);
  expect((caught as ConfigError).key).toBe(key);
  expect((caught as ConfigError).message).toContain(message);
});
