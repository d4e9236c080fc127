import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { ModelConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';
import { type Rotary, rotaryOf } from '../rotary-config.ts';

/** Phi-3 and Phi-4: what `config.json` says, with Hugging Face's defaults filled in. */
export interface Phi3Config extends ModelConfig, Rotary {
  readonly modelType: 'phi3';
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly activation: ActivationName;
  readonly normEps: number;
  /** Chances of dropout in training: of what the sub-layers give, and of attention's weights. */
  readonly residualDropout: number;
  readonly attentionDropout: number;
  /** Keys that a query sees, its own included; undefined: all before it. */
  readonly window: number | undefined;
}

/** What older configs call long rope. */
const longropeNames = ['su', 'yarn'];

/**
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parsePhi3Config(json: JsonObject, generation: JsonObject = {}): Phi3Config {
  const hiddenSize = count(json, 'hidden_size', 3072);
  const heads = count(json, 'num_attention_heads', 32);
  const kvHeads = count(json, 'num_key_value_heads', heads);
  if (json.head_dim == null && hiddenSize % heads !== 0)
    throw new ConfigError('hidden_size', `${hiddenSize} is not a multiple of num_attention_heads, ${heads}`);
  if (heads % kvHeads !== 0)
    throw new ConfigError('num_key_value_heads', `${kvHeads} does not divide num_attention_heads, ${heads}`);
  const headDim = count(json, 'head_dim', hiddenSize / heads);
  const maxPositions = count(json, 'max_position_embeddings', 4096);
  const rotary = rotaryOf(withLongrope(json), { maxPositions, headDim, partial: 1 });
  const { type } = rotary.ropeScaling;
  if (type !== 'default' && type !== 'longrope')
    throw new ConfigError(
      json.rope_scaling == null ? 'rope_parameters' : 'rope_scaling',
      `type "${type}" is not supported in Phi-3; supported are default and longrope`,
    );
  const endTokens = tokenIds(generation, 'eos_token_id');
  return {
    modelType: 'phi3',
    vocabSize: count(json, 'vocab_size', 32064),
    hiddenSize,
    intermediateSize: count(json, 'intermediate_size', 8192),
    layers: count(json, 'num_hidden_layers', 32, mostLayers),
    heads,
    kvHeads,
    headDim,
    maxPositions,
    ...rotary,
    activation: activationOf(json, 'hidden_act', 'silu'),
    normEps: positive(json, 'rms_norm_eps', 1e-5),
    residualDropout: chance(json, 'resid_pdrop', 0),
    attentionDropout: chance(json, 'attention_dropout', 0),
    window: json.sliding_window == null ? undefined : count(json, 'sliding_window'),
    tieWordEmbeddings: flag(json, 'tie_word_embeddings'),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', 1)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', 32000),
    padTokenId: tokenIds(json, 'pad_token_id', 32000)[0],
  };
}

/** The config with long rope under its name, and its original length, which Phi-3 has outside. */
function withLongrope(json: JsonObject): JsonObject {
  const key = json.rope_scaling == null ? 'rope_parameters' : 'rope_scaling';
  const rope = json[key];
  const whole = { ...json, original_max_position_embeddings: json.original_max_position_embeddings ?? 4096 };
  if (rope == null || typeof rope !== 'object' || Array.isArray(rope)) return whole;
  const named = rope as JsonObject;
  const type = (named.rope_type ?? named.type) as string;
  return longropeNames.includes(type) ? { ...whole, [key]: { ...named, rope_type: 'longrope' } } : whole;
}
