import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { ModelConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';

/** OPT: what `config.json` says, with Hugging Face's defaults filled in. */
export interface OPTConfig extends ModelConfig {
  readonly modelType: 'opt';
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  /** Width of the embeddings, and of the head's input. */
  readonly embeddingSize: number;
  readonly activation: ActivationName;
  /** Whether norms come before the sub-layers, or after their skip connections. */
  readonly normBefore: boolean;
  readonly finalNorm: boolean;
  /** Whether the linear layers have biases. */
  readonly bias: boolean;
  /** Chances of dropout in training: of what the sub-layers give, and of attention's weights. */
  readonly dropout: number;
  readonly attentionDropout: number;
}

/**
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseOPTConfig(json: JsonObject, generation: JsonObject = {}): OPTConfig {
  const hiddenSize = count(json, 'hidden_size', 768);
  const heads = count(json, 'num_attention_heads', 12);
  if (hiddenSize % heads !== 0)
    throw new ConfigError('hidden_size', `${hiddenSize} is not a multiple of num_attention_heads, ${heads}`);
  if (!flag(json, 'layer_norm_elementwise_affine', true))
    throw new ConfigError('layer_norm_elementwise_affine', 'norms without weights are not supported');
  if (chance(json, 'layerdrop', 0) > 0)
    throw new ConfigError('layerdrop', 'leaving out whole layers in training is not supported; set it to 0');
  const normBefore = flag(json, 'do_layer_norm_before', true);
  const endTokens = tokenIds(generation, 'eos_token_id');
  return {
    modelType: 'opt',
    vocabSize: count(json, 'vocab_size', 50272),
    hiddenSize,
    embeddingSize: count(json, 'word_embed_proj_dim', hiddenSize),
    intermediateSize: count(json, 'ffn_dim', 3072),
    layers: count(json, 'num_hidden_layers', 12, mostLayers),
    heads,
    headDim: hiddenSize / heads,
    maxPositions: count(json, 'max_position_embeddings', 2048),
    activation: activationOf(json, 'activation_function', 'relu'),
    normBefore,
    finalNorm: normBefore && !flag(json, '_remove_final_layer_norm'),
    bias: flag(json, 'enable_bias', true),
    dropout: chance(json, 'dropout', 0.1),
    attentionDropout: chance(json, 'attention_dropout', 0),
    tieWordEmbeddings: flag(json, 'tie_word_embeddings', true),
    initializerRange: positive(json, 'init_std', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', 2)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', 2),
    padTokenId: tokenIds(json, 'pad_token_id', 1)[0],
  };
}
