import type { RotaryScaling } from '@graftjs/transformer';

/** A config.json that names no model we have, or a value that no model can have. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly key: string;

  constructor(key: string, problem: string) {
    super(`config.json, ${key}: ${problem}`);
    this.key = key;
  }
}

/** The Llama family: what `config.json` says, with Hugging Face's defaults filled in. */
export interface LlamaConfig {
  readonly modelType: 'llama' | 'mistral' | 'qwen2';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RotaryScaling;
  readonly tieWordEmbeddings: boolean;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** Keys that a query of layer i sees, its own included; undefined: all before it. */
  readonly windowOf: (layer: number) => number | undefined;
  readonly initializerRange: number;
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** What `transformers` assumes of each member of the family where its config.json is silent. */
const families = {
  llama: { kvHeads: undefined, maxPositions: 2048, bosTokenId: 1, eosTokenId: 2 },
  mistral: { kvHeads: 8, maxPositions: 131072, bosTokenId: 1, eosTokenId: 2 },
  qwen2: { kvHeads: 32, maxPositions: 32768, bosTokenId: undefined, eosTokenId: undefined },
} as const;

const supported = Object.keys(families);
/** No model is larger or deeper; a number beyond is a damaged file. */
const mostOfAnything = 2 ** 24;
const mostLayers = 1024;

/**
 * Reads a `config.json` of `transformers` 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`).
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseLlamaConfig(json: Json, generation: Json = {}): LlamaConfig {
  if (typeof json.model_type !== 'string' || !supported.includes(json.model_type))
    throw new ConfigError(
      'model_type',
      `${JSON.stringify(json.model_type)} is not supported; supported are ${supported.join(', ')}`,
    );
  const modelType = json.model_type as LlamaConfig['modelType'];
  const family = families[modelType];
  if (json.quantization_config != null)
    throw new ConfigError(
      'quantization_config',
      'quantized weights are not supported; use the folder of the model before it was quantized',
    );
  const heads = count(json, 'num_attention_heads');
  const kvHeads =
    json.num_key_value_heads === null ? heads : count(json, 'num_key_value_heads', family.kvHeads ?? heads);
  const hiddenSize = count(json, 'hidden_size');
  if (json.head_dim == null && hiddenSize % heads !== 0)
    throw new ConfigError('hidden_size', `${hiddenSize} is not a multiple of num_attention_heads, ${heads}`);
  if (heads % kvHeads !== 0)
    throw new ConfigError('num_key_value_heads', `${kvHeads} does not divide num_attention_heads, ${heads}`);
  const headDim = count(json, 'head_dim', hiddenSize / heads);
  if (headDim % 2 !== 0)
    throw new ConfigError('head_dim', `${headDim} is odd, and rotary positions need pairs`);
  const activation = json.hidden_act ?? 'silu';
  if (activation !== 'silu' && activation !== 'swish')
    throw new ConfigError('hidden_act', `${JSON.stringify(activation)} is not supported; supported is silu`);
  const layers = count(json, 'num_hidden_layers', undefined, mostLayers);
  const maxPositions = count(json, 'max_position_embeddings', family.maxPositions);
  const attentionBias = modelType === 'llama' && flag(json, 'attention_bias');
  const endTokens = tokenIds(generation, 'eos_token_id');
  return {
    modelType,
    vocabSize: count(json, 'vocab_size'),
    hiddenSize,
    intermediateSize: count(json, 'intermediate_size'),
    layers,
    heads,
    kvHeads,
    headDim,
    maxPositions,
    normEps: positive(json, 'rms_norm_eps', 1e-6),
    ...rotaryOf(json, maxPositions),
    tieWordEmbeddings: flag(json, 'tie_word_embeddings'),
    qkvBias: modelType === 'qwen2' || attentionBias,
    outputBias: attentionBias,
    mlpBias: modelType === 'llama' && flag(json, 'mlp_bias'),
    windowOf: windows(json, modelType, layers),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', family.bosTokenId)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', family.eosTokenId),
    padTokenId: tokenIds(json, 'pad_token_id')[0],
  };
}

function windows(
  json: Json,
  modelType: LlamaConfig['modelType'],
  layers: number,
): (layer: number) => number | undefined {
  const none = (): undefined => undefined;
  if (modelType === 'llama' || json.sliding_window === null) return none;
  if (modelType === 'qwen2' && !flag(json, 'use_sliding_window')) return none;
  const size = count(json, 'sliding_window', 4096);
  if (modelType === 'mistral') return () => size;
  const types = json.layer_types;
  if (types != null) {
    const known = ['full_attention', 'sliding_attention'];
    if (!Array.isArray(types) || types.length !== layers || !types.every((type) => known.includes(type)))
      throw new ConfigError(
        'layer_types',
        `must name one of ${known.join(', ')} for each of ${layers} layers`,
      );
    return (layer) => (types[layer] === 'sliding_attention' ? size : undefined);
  }
  const from = json.max_window_layers === 0 ? 0 : count(json, 'max_window_layers', 28);
  return (layer) => (layer >= from ? size : undefined);
}

/** `rope_scaling` of transformers 4 goes before `rope_parameters` of 5, as there. */
function rotaryOf(json: Json, maxPositions: number): Pick<LlamaConfig, 'ropeTheta' | 'ropeScaling'> {
  const key = json.rope_scaling == null ? 'rope_parameters' : 'rope_scaling';
  const rope = (json[key] ?? {}) as Json;
  if (typeof rope !== 'object' || Array.isArray(rope)) throw new ConfigError(key, 'is not an object');
  if ('full_attention' in rope || 'sliding_attention' in rope)
    throw new ConfigError(key, 'rotary positions that differ between layers are not supported');
  for (const [where, values] of [
    ['partial_rotary_factor', json],
    [`${key}.partial_rotary_factor`, rope],
  ] as const)
    if ((values.partial_rotary_factor ?? 1) !== 1)
      throw new ConfigError(where, 'rotary positions in a part of the head are not supported');
  const ropeTheta = positive(rope.rope_theta == null ? json : rope, 'rope_theta', 10000);
  const type = rope.rope_type ?? rope.type ?? 'default';
  switch (type) {
    case 'default':
      return { ropeTheta, ropeScaling: { type: 'default' } };
    case 'linear':
      return { ropeTheta, ropeScaling: { type: 'linear', factor: positive(rope, 'factor') } };
    case 'llama3': {
      const [lowFreqFactor, highFreqFactor] = [
        positive(rope, 'low_freq_factor'),
        positive(rope, 'high_freq_factor'),
      ];
      if (highFreqFactor <= lowFreqFactor)
        throw new ConfigError(
          `${key}.high_freq_factor`,
          `${highFreqFactor} is not above low_freq_factor, ${lowFreqFactor}`,
        );
      const outside = json.original_max_position_embeddings != null;
      const originalMaxPositions = positive(
        outside ? json : rope,
        'original_max_position_embeddings',
        maxPositions,
      );
      const factor = positive(rope, 'factor');
      return {
        ropeTheta,
        ropeScaling: { type: 'llama3', factor, lowFreqFactor, highFreqFactor, originalMaxPositions },
      };
    }
    default:
      throw new ConfigError(
        key,
        `type ${JSON.stringify(type)} is not supported; supported are default, linear, llama3`,
      );
  }
}

/** A negative id, which old configs write, is none. */
function tokenIds(json: Json, key: string, fallback?: number): number[] {
  const value = json[key] === undefined ? fallback : json[key];
  const ids: unknown[] = value == null ? [] : [value].flat();
  if (!ids.every((id) => typeof id === 'number' && Number.isInteger(id)))
    throw new ConfigError(key, `${JSON.stringify(value)} is neither a token id nor a list of them`);
  return (ids as number[]).filter((id) => id >= 0);
}

function flag(json: Json, key: string): boolean {
  const value = json[key] ?? false;
  if (typeof value !== 'boolean')
    throw new ConfigError(key, `${JSON.stringify(value)} is neither true nor false`);
  return value;
}

function count(json: Json, key: string, fallback?: number, most = mostOfAnything): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
    throw new ConfigError(
      key,
      value === undefined ? 'is missing' : `${shown(value)} is not a whole number from 1 to ${most}`,
    );
  return value;
}

function positive(json: Json, key: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw new ConfigError(
      key,
      value === undefined ? 'is missing' : `${shown(value)} is not a positive number`,
    );
  return value;
}

/** JSON has no NaN and would call it null. */
const shown = (value: unknown): string => (typeof value === 'number' ? `${value}` : JSON.stringify(value));
