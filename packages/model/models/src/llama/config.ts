import type { JsonObject } from '@graftjs/checkpoint';
import type { RotaryScaling } from '@graftjs/transformer';
import type { ModelConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';
import { layerTypes } from '../layer-types.ts';
import { longestText, rotaryOf } from '../rotary-config.ts';

/** The Llama family: what `config.json` says, with Hugging Face's defaults filled in. */
export interface LlamaConfig extends ModelConfig {
  readonly modelType: keyof typeof families;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RotaryScaling;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** Whether queries and keys are normed, head by head. */
  readonly headNorms: boolean;
  /** Chance that a weight of attention becomes zero in training. */
  readonly attentionDropout: number;
  /** Keys that a query of layer i sees, its own included; undefined: all before it. */
  readonly windowOf: (layer: number) => number | undefined;
}

/** What `transformers` assumes of each member of the family where its config.json is silent. */
const families = {
  llama: { kvHeads: undefined, headDim: undefined, maxPositions: 2048, bosTokenId: 1, eosTokenId: 2 },
  mistral: { kvHeads: 8, headDim: undefined, maxPositions: 131072, bosTokenId: 1, eosTokenId: 2 },
  qwen2: {
    kvHeads: 32,
    headDim: undefined,
    maxPositions: 32768,
    bosTokenId: undefined,
    eosTokenId: undefined,
  },
  qwen3: { kvHeads: 32, headDim: 128, maxPositions: 32768, bosTokenId: undefined, eosTokenId: undefined },
} as const;

export const llamaTypes = Object.keys(families);

/**
 * Reads a `config.json` of `transformers` 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`).
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseLlamaConfig(json: JsonObject, generation: JsonObject = {}): LlamaConfig {
  const modelType = json.model_type as LlamaConfig['modelType'];
  const family = families[modelType];
  const heads = count(json, 'num_attention_heads');
  const kvHeads =
    json.num_key_value_heads === null ? heads : count(json, 'num_key_value_heads', family.kvHeads ?? heads);
  const hiddenSize = count(json, 'hidden_size');
  if (json.head_dim == null && family.headDim === undefined && hiddenSize % heads !== 0)
    throw new ConfigError('hidden_size', `${hiddenSize} is not a multiple of num_attention_heads, ${heads}`);
  if (heads % kvHeads !== 0)
    throw new ConfigError('num_key_value_heads', `${kvHeads} does not divide num_attention_heads, ${heads}`);
  const headDim = count(json, 'head_dim', family.headDim ?? hiddenSize / heads);
  if (headDim % 2 !== 0)
    throw new ConfigError('head_dim', `${headDim} is odd, and rotary positions need pairs`);
  const activation = json.hidden_act ?? 'silu';
  if (activation !== 'silu' && activation !== 'swish')
    throw new ConfigError('hidden_act', `${JSON.stringify(activation)} is not supported; supported is silu`);
  const layers = count(json, 'num_hidden_layers', undefined, mostLayers);
  const maxPositions = count(json, 'max_position_embeddings', family.maxPositions);
  const { ropeTheta, ropeScaling } = rotaryOf(json, { maxPositions, headDim });
  const attentionBias = (modelType === 'llama' || modelType === 'qwen3') && flag(json, 'attention_bias');
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
    // What is scaled by the length of the text or to it goes on to the scaled length.
    maxPositions: longestText(ropeScaling, maxPositions),
    normEps: positive(json, 'rms_norm_eps', 1e-6),
    ropeTheta,
    ropeScaling,
    tieWordEmbeddings: flag(json, 'tie_word_embeddings'),
    qkvBias: modelType === 'qwen2' || attentionBias,
    outputBias: attentionBias,
    mlpBias: modelType === 'llama' && flag(json, 'mlp_bias'),
    headNorms: modelType === 'qwen3',
    attentionDropout: chance(json, 'attention_dropout', 0),
    windowOf: windows(json, modelType, layers),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', family.bosTokenId)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', family.eosTokenId),
    padTokenId: tokenIds(json, 'pad_token_id')[0],
  };
}

function windows(
  json: JsonObject,
  modelType: LlamaConfig['modelType'],
  layers: number,
): (layer: number) => number | undefined {
  const none = (): undefined => undefined;
  if (modelType === 'llama' || json.sliding_window === null) return none;
  if (modelType !== 'mistral' && !flag(json, 'use_sliding_window')) return none;
  const size = count(json, 'sliding_window', 4096);
  if (modelType === 'mistral') return () => size;
  const types = layerTypes(json, layers);
  if (types) return (layer) => (types[layer] === 'sliding_attention' ? size : undefined);
  const from = json.max_window_layers === 0 ? 0 : count(json, 'max_window_layers', 28);
  return (layer) => (layer >= from ? size : undefined);
}
