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

const supported = ['llama', 'mistral', 'qwen2'] as const;
/** No model is larger; a number beyond is a damaged file. */
const mostOfAnything = 2 ** 24;

/**
 * Reads a `config.json` of `transformers` 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`).
 * @throws ConfigError
 */
export function parseLlamaConfig(json: Json): LlamaConfig {
  const modelType = json.model_type as LlamaConfig['modelType'];
  if (!supported.includes(modelType))
    throw new ConfigError(
      'model_type',
      `${JSON.stringify(json.model_type)} is not supported; supported are ${supported.join(', ')}`,
    );
  const heads = count(json, 'num_attention_heads');
  const kvHeads = count(json, 'num_key_value_heads', heads);
  const hiddenSize = count(json, 'hidden_size');
  if (json.head_dim == null && hiddenSize % heads !== 0)
    throw new ConfigError('hidden_size', `${hiddenSize} is not a multiple of num_attention_heads, ${heads}`);
  if (heads % kvHeads !== 0)
    throw new ConfigError('num_key_value_heads', `${kvHeads} does not divide num_attention_heads, ${heads}`);
  const headDim = count(json, 'head_dim', hiddenSize / heads);
  if (headDim % 2 !== 0)
    throw new ConfigError('head_dim', `${headDim} is odd, and rotary positions need pairs`);
  const activation = json.hidden_act ?? 'silu';
  if (activation !== 'silu')
    throw new ConfigError('hidden_act', `${JSON.stringify(activation)} is not supported; supported is silu`);
  const layers = count(json, 'num_hidden_layers');
  const rope = (json.rope_parameters ?? json.rope_scaling ?? {}) as Json;
  const maxPositions = count(json, 'max_position_embeddings', 2048);
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
    ropeTheta: positive(rope.rope_theta === undefined ? json : rope, 'rope_theta', 10000),
    ropeScaling: scalingOf(rope, maxPositions),
    tieWordEmbeddings: json.tie_word_embeddings === true,
    qkvBias: modelType === 'qwen2' || json.attention_bias === true,
    outputBias: modelType !== 'qwen2' && json.attention_bias === true,
    mlpBias: json.mlp_bias === true,
    windowOf: windows(json, modelType),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: json.bos_token_id as number | undefined,
    eosTokenIds: json.eos_token_id == null ? [] : ([json.eos_token_id].flat() as number[]),
    padTokenId: (json.pad_token_id ?? undefined) as number | undefined,
  };
}

function windows(json: Json, modelType: string): (layer: number) => number | undefined {
  const window = json.sliding_window;
  if (window == null) return () => undefined;
  const size = count(json, 'sliding_window');
  if (modelType === 'mistral') return () => size;
  if (modelType !== 'qwen2' || json.use_sliding_window !== true) return () => undefined;
  const types = json.layer_types as readonly string[] | undefined;
  const from = Number(json.max_window_layers ?? 28);
  return (layer) => ((types ? types[layer] === 'sliding_attention' : layer >= from) ? size : undefined);
}

function scalingOf(rope: Json, maxPositions: number): RotaryScaling {
  const type = rope.rope_type ?? rope.type ?? 'default';
  switch (type) {
    case 'default':
      return { type: 'default' };
    case 'linear':
      return { type: 'linear', factor: positive(rope, 'factor') };
    case 'llama3':
      return {
        type: 'llama3',
        factor: positive(rope, 'factor'),
        lowFreqFactor: positive(rope, 'low_freq_factor'),
        highFreqFactor: positive(rope, 'high_freq_factor'),
        originalMaxPositions: positive(rope, 'original_max_position_embeddings', maxPositions),
      };
    default:
      throw new ConfigError(
        'rope_scaling',
        `type ${JSON.stringify(type)} is not supported; supported are default, linear, llama3`,
      );
  }
}

function count(json: Json, key: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > mostOfAnything)
    throw new ConfigError(
      key,
      value === undefined
        ? 'is missing'
        : `${JSON.stringify(value)} is not a whole number from 1 to ${mostOfAnything}`,
    );
  return value;
}

function positive(json: Json, key: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw new ConfigError(
      key,
      value === undefined ? 'is missing' : `${JSON.stringify(value)} is not a positive number`,
    );
  return value;
}
