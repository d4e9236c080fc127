/** What is read from `config.json` of the decoders beside the Llama family and GPT-2. */
import { readFileSync } from 'node:fs';
import { Context } from '@graftjs/nn';
import { type Tensor, zeros } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { architectures, ConfigError, newModel, PositionsError, parseConfig } from './index.ts';

const fixture = (base: string, file: string): Record<string, unknown> =>
  JSON.parse(
    readFileSync(new URL(`../../../../tools/oracle/fixtures/${base}/${file}`, import.meta.url), 'utf8'),
  ) as Record<string, unknown>;
const of = (model_type: string, change: Record<string, unknown> = {}) =>
  parseConfig({ model_type, ...change }, { architectures });

test.each([
  'gpt-neox',
  'gpt-neox-variant',
  'opt',
  'opt-variant',
  'gemma',
  'gemma2',
  'gemma3',
  'phi3',
  'phi3-longrope',
])('%s: the config of transformers 4 says the same as that of 5', (base) => {
  const [five, four] = ['config.json', 'config.transformers4.json'].map((file) => {
    const { windowOf, ...config } = parseConfig(fixture(base, file), { architectures }) as ReturnType<
      typeof of
    > & { windowOf?: (layer: number) => number | undefined };
    return { ...config, windows: [0, 1].map((layer) => windowOf?.(layer)) };
  });
  expect(four).toEqual(five);
});

// The defaults of transformers 5.23.0: models/*/configuration_*.py.
describe('where config.json is silent, it has the defaults of transformers', () => {
  const rope = (theta: number, rotaryDim: number) => ({
    ropeTheta: theta,
    ropeScaling: { type: 'default' },
    rotaryDim,
  });

  test('gpt_neox', () => {
    expect(of('gpt_neox')).toEqual({
      modelType: 'gpt_neox',
      vocabSize: 50432,
      hiddenSize: 6144,
      intermediateSize: 24576,
      layers: 44,
      heads: 64,
      headDim: 96,
      maxPositions: 2048,
      ...rope(10000, 24),
      activation: 'gelu',
      normEps: 1e-5,
      parallelResidual: true,
      attentionBias: true,
      hiddenDropout: 0,
      attentionDropout: 0,
      tieWordEmbeddings: false,
      initializerRange: 0.02,
      bosTokenId: 0,
      eosTokenIds: [2],
      padTokenId: undefined,
    });
  });

  test('opt', () => {
    expect(of('opt')).toEqual({
      modelType: 'opt',
      vocabSize: 50272,
      hiddenSize: 768,
      embeddingSize: 768,
      intermediateSize: 3072,
      layers: 12,
      heads: 12,
      headDim: 64,
      maxPositions: 2048,
      activation: 'relu',
      normBefore: true,
      finalNorm: true,
      bias: true,
      dropout: 0.1,
      attentionDropout: 0,
      tieWordEmbeddings: true,
      initializerRange: 0.02,
      bosTokenId: 2,
      eosTokenIds: [2],
      padTokenId: 1,
    });
    expect(of('opt', { _remove_final_layer_norm: true })).toMatchObject({ finalNorm: false });
  });

  test('phi3', () => {
    expect(of('phi3')).toEqual({
      modelType: 'phi3',
      vocabSize: 32064,
      hiddenSize: 3072,
      intermediateSize: 8192,
      layers: 32,
      heads: 32,
      kvHeads: 32,
      headDim: 96,
      maxPositions: 4096,
      ...rope(10000, 96),
      activation: 'silu',
      normEps: 1e-5,
      residualDropout: 0,
      attentionDropout: 0,
      window: undefined,
      tieWordEmbeddings: false,
      initializerRange: 0.02,
      bosTokenId: 1,
      eosTokenIds: [32000],
      padTokenId: 32000,
    });
  });

  const gemmas = {
    headDim: 256,
    normEps: 1e-6,
    activation: 'gelu_pytorch_tanh',
    attentionBias: false,
    attentionDropout: 0,
    scale: 1 / 16,
    tieWordEmbeddings: true,
    initializerRange: 0.02,
    bosTokenId: 2,
    eosTokenIds: [1],
    padTokenId: 0,
  };
  const second = {
    ...gemmas,
    hiddenSize: 2304,
    intermediateSize: 9216,
    layers: 26,
    heads: 8,
    kvHeads: 4,
    outputNorms: true,
    windowOf: expect.any(Function) as unknown,
  };
  const windowsOf = (config: unknown): unknown[] =>
    [0, 1, 5].map((layer) => (config as { windowOf: (layer: number) => number | undefined }).windowOf(layer));

  test('gemma', () => {
    const config = of('gemma');
    expect(config).toMatchObject({
      ...gemmas,
      vocabSize: 256000,
      hiddenSize: 3072,
      intermediateSize: 24576,
      layers: 28,
      heads: 16,
      kvHeads: 16,
      maxPositions: 8192,
      outputNorms: false,
      headNorms: false,
      scoreCap: undefined,
      logitCap: undefined,
      rotary: { full_attention: rope(10000, 256) },
    });
    expect(windowsOf(config)).toEqual([undefined, undefined, undefined]);
    expect(of('gemma', { hidden_act: 'gelu' })).toMatchObject({ activation: 'gelu_pytorch_tanh' });
  });

  test('gemma2', () => {
    const config = of('gemma2');
    expect(config).toMatchObject({
      ...second,
      vocabSize: 256000,
      maxPositions: 8192,
      headNorms: false,
      scoreCap: 50,
      logitCap: 30,
      rotary: { full_attention: rope(10000, 256), sliding_attention: rope(10000, 256) },
    });
    expect(windowsOf(config)).toEqual([4096, undefined, undefined]);
    const none = { attn_logit_softcapping: null, final_logit_softcapping: null };
    expect(of('gemma2', none)).toMatchObject({ scoreCap: undefined, logitCap: undefined });
  });

  test('gemma3_text', () => {
    const config = of('gemma3_text');
    expect(config).toMatchObject({
      ...second,
      vocabSize: 262208,
      maxPositions: 131072,
      headNorms: true,
      scoreCap: undefined,
      logitCap: undefined,
      rotary: { full_attention: rope(1e6, 256), sliding_attention: rope(1e4, 256) },
    });
    expect(windowsOf(config)).toEqual([4096, 4096, undefined]);
    expect(windowsOf(of('gemma3_text', { sliding_window_pattern: 2 }))).toEqual([4096, undefined, undefined]);
  });
});

test("older names of Phi-3's long rope are read, its original length outside", () => {
  const factors = (x: number) => new Array<number>(48).fill(x);
  const rope_scaling = { type: 'su', short_factor: factors(1), long_factor: factors(2) };
  const config = { max_position_embeddings: 131072, original_max_position_embeddings: 4096, rope_scaling };
  expect(of('phi3', config)).toMatchObject({
    maxPositions: 131072,
    ropeScaling: {
      type: 'longrope',
      originalMaxPositions: 4096,
      longFactors: factors(2),
      attentionFactor: Math.sqrt(1 + Math.log(32) / Math.log(4096)),
    },
  });
});

test.each<[string, Record<string, unknown>, string]>([
  ['gpt_neox', { hidden_size: 100 }, 'hidden_size'],
  ['gpt_neox', { hidden_act: 'mish' }, 'hidden_act'],
  ['gpt_neox', { rotary_pct: 0.24 }, 'rotary_pct'],
  ['gpt_neox', { rope_parameters: { partial_rotary_factor: 1.5 } }, 'rope_parameters.partial_rotary_factor'],
  ['gpt_neox', { hidden_dropout: 2 }, 'hidden_dropout'],
  ['opt', { layer_norm_elementwise_affine: false }, 'layer_norm_elementwise_affine'],
  ['opt', { layerdrop: 0.1 }, 'layerdrop'],
  ['opt', { num_attention_heads: 7 }, 'hidden_size'],
  ['opt', { activation_function: 'swiglu' }, 'activation_function'],
  ['gemma', { use_bidirectional_attention: true }, 'use_bidirectional_attention'],
  ['gemma2', { num_key_value_heads: 3 }, 'num_key_value_heads'],
  ['gemma2', { final_logit_softcapping: -1 }, 'final_logit_softcapping'],
  ['gemma2', { layer_types: ['chunked_attention'] }, 'layer_types'],
  ['gemma2', { rope_parameters: { full_attention: {} } }, 'rope_parameters'],
  ['gemma3_text', { attn_logit_softcapping: 50 }, 'attn_logit_softcapping'],
  ['gemma3_text', { rope_parameters: { rope_theta: 1e4 } }, 'rope_parameters.rope_theta'],
  ['phi3', { rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling'],
  ['phi3', { rope_scaling: { type: 'longrope', short_factor: [1] } }, 'rope_scaling.short_factor'],
  ['phi3', { head_dim: 7 }, 'partial_rotary_factor'],
  ['phi3', { quantization_config: {} }, 'quantization_config'],
])('%s with %j is refused by key', (type, change, key) => {
  expect(() => of(type, change)).toThrow(expect.objectContaining({ name: 'ConfigError', key }) as Error);
  expect(() => of(type, change)).toThrow(ConfigError);
});

const size = { vocab_size: 8, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };

test('a new Gemma has norms that change nothing', () => {
  const json = { model_type: 'gemma2', ...size, head_dim: 4, num_key_value_heads: 1, intermediate_size: 8 };
  const { model } = newModel(json, { architectures, seed: 1 });
  const norms = [...model.namedParameters()].filter(([name]) => name.includes('norm'));
  expect(norms.length).toBe(5);
  for (const [, norm] of norms) expect([...norm.pending!]).toEqual(new Array(8).fill(0));
});

test("a text that is longer than OPT's positions is refused", () => {
  const json = { model_type: 'opt', ...size, ffn_dim: 8, max_position_embeddings: 6 };
  const { model } = newModel(json, { architectures, seed: 1 });
  const forward = (tokens: number): Tensor =>
    model.forward({ inputIds: zeros([1, tokens], 'i32') }, new Context());
  expect(forward(6).shape).toEqual([1, 6, 8]);
  expect(() => forward(7)).toThrow(PositionsError);
});
