import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { ModelConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';
import { longestText, type Rotary, rotaryOf } from '../rotary-config.ts';

/** GPT-NeoX: what `config.json` says, with Hugging Face's defaults filled in. */
export interface GPTNeoXConfig extends ModelConfig, Rotary {
  readonly modelType: 'gpt_neox';
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly activation: ActivationName;
  readonly normEps: number;
  /** Whether attention and MLP of a block have the same input. */
  readonly parallelResidual: boolean;
  readonly attentionBias: boolean;
  /** Chances of dropout in training: of embeddings and what the sub-layers give, and of attention's weights. */
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
}

/** What older configs call the rotary keys. */
const names = { theta: 'rotary_emb_base', partial: 'rotary_pct' };

/**
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseGPTNeoXConfig(json: JsonObject, generation: JsonObject = {}): GPTNeoXConfig {
  const hiddenSize = count(json, 'hidden_size', 6144);
  const heads = count(json, 'num_attention_heads', 64);
  if (hiddenSize % heads !== 0)
    throw new ConfigError('hidden_size', `${hiddenSize} is not a multiple of num_attention_heads, ${heads}`);
  const headDim = hiddenSize / heads;
  const maxPositions = count(json, 'max_position_embeddings', 2048);
  const rotary = rotaryOf(json, { maxPositions, headDim, names, partial: 0.25 });
  const endTokens = tokenIds(generation, 'eos_token_id');
  return {
    modelType: 'gpt_neox',
    vocabSize: count(json, 'vocab_size', 50432),
    hiddenSize,
    intermediateSize: count(json, 'intermediate_size', 24576),
    layers: count(json, 'num_hidden_layers', 44, mostLayers),
    heads,
    headDim,
    maxPositions: longestText(rotary.ropeScaling, maxPositions),
    ...rotary,
    activation: activationOf(json, 'hidden_act', 'gelu'),
    normEps: positive(json, 'layer_norm_eps', 1e-5),
    parallelResidual: flag(json, 'use_parallel_residual', true),
    attentionBias: flag(json, 'attention_bias', true),
    hiddenDropout: chance(json, 'hidden_dropout', 0),
    attentionDropout: chance(json, 'attention_dropout', 0),
    tieWordEmbeddings: flag(json, 'tie_word_embeddings'),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', 0)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', 2),
    padTokenId: tokenIds(json, 'pad_token_id')[0],
  };
}
