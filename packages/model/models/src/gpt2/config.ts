import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { ModelConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';

/** GPT-2: what `config.json` says, with Hugging Face's defaults filled in. */
export interface GPT2Config extends ModelConfig {
  readonly modelType: 'gpt2';
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly activation: ActivationName;
  readonly normEps: number;
  /** Chances of dropout in training: of embeddings, of attention's weights, of what the sub-layers give. */
  readonly embeddingDropout: number;
  readonly attentionDropout: number;
  readonly residualDropout: number;
  /** Factor of attention's scores in layer i. */
  readonly scaleOf: (layer: number) => number;
}

/** The names that `config.json` has for what other models call so; either is read. */
const names = {
  hidden_size: 'n_embd',
  max_position_embeddings: 'n_positions',
  num_attention_heads: 'n_head',
  num_hidden_layers: 'n_layer',
} as const;

/**
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseGPT2Config(json: JsonObject, generation: JsonObject = {}): GPT2Config {
  if (flag(json, 'add_cross_attention'))
    throw new ConfigError('add_cross_attention', 'GPT-2 as the decoder of an encoder is not supported');
  const read = (name: keyof typeof names, fallback: number, most?: number): number =>
    count(json, json[names[name]] == null && json[name] != null ? name : names[name], fallback, most);
  const hiddenSize = read('hidden_size', 768);
  const heads = read('num_attention_heads', 12);
  if (hiddenSize % heads !== 0)
    throw new ConfigError('n_embd', `${hiddenSize} is not a multiple of n_head, ${heads}`);
  const headDim = hiddenSize / heads;
  const scale = flag(json, 'scale_attn_weights', true) ? headDim ** -0.5 : 1;
  const byLayer = flag(json, 'scale_attn_by_inverse_layer_idx');
  const endTokens = tokenIds(generation, 'eos_token_id');
  return {
    modelType: 'gpt2',
    vocabSize: count(json, 'vocab_size', 50257),
    hiddenSize,
    intermediateSize: count(json, 'n_inner', 4 * hiddenSize),
    layers: read('num_hidden_layers', 12, mostLayers),
    heads,
    headDim,
    maxPositions: read('max_position_embeddings', 1024),
    activation: activationOf(json, 'activation_function', 'gelu_new'),
    normEps: positive(json, 'layer_norm_epsilon', 1e-5),
    embeddingDropout: chance(json, 'embd_pdrop', 0.1),
    attentionDropout: chance(json, 'attn_pdrop', 0.1),
    residualDropout: chance(json, 'resid_pdrop', 0.1),
    scaleOf: (layer) => (byLayer ? scale / (layer + 1) : scale),
    tieWordEmbeddings: flag(json, 'tie_word_embeddings', true),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', 50256)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', 50256),
    padTokenId: tokenIds(json, 'pad_token_id')[0],
  };
}
