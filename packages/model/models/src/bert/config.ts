import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { EncoderConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';
import { parseLabels } from '../encoder/labels.ts';

/** An encoder of BERT's kind: what `config.json` says, with Hugging Face's defaults filled in. */
export interface BertConfig extends EncoderConfig {
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly activation: ActivationName;
  readonly normEps: number;
  /** Chances of dropout in training: of embeddings and sub-layers, of attention's weights, before a classifier. */
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  /** Rows of the tables of positions and of token types; 0: there are no token types. */
  readonly positionRows: number;
  readonly tokenTypes: number;
  /** Positions are counted from after this id, which padding has, and padding is not counted; undefined: from 0 on. */
  readonly positionsAfter: number | undefined;
}

/** BERT's. @throws ConfigError */
export function parseBertConfig(json: JsonObject): BertConfig {
  refuseDecoders(json);
  const hiddenDropout = chance(json, 'hidden_dropout_prob', 0.1);
  const positionRows = count(json, 'max_position_embeddings', 512);
  return {
    modelType: json.model_type as string,
    vocabSize: count(json, 'vocab_size', 30522),
    layers: count(json, 'num_hidden_layers', 12, mostLayers),
    ...headSizes(count(json, 'hidden_size', 768), count(json, 'num_attention_heads', 12), 'hidden_size'),
    intermediateSize: count(json, 'intermediate_size', 3072),
    activation: activationOf(json, 'hidden_act', 'gelu'),
    normEps: positive(json, 'layer_norm_eps', 1e-12),
    hiddenDropout,
    attentionDropout: chance(json, 'attention_probs_dropout_prob', 0.1),
    classifierDropout: chance(json, 'classifier_dropout', hiddenDropout),
    positionRows,
    maxPositions: positionRows,
    positionsAfter: undefined,
    tokenTypes: count(json, 'type_vocab_size', 2),
    tieWordEmbeddings: flag(json, 'tie_word_embeddings', true),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id')[0],
    eosTokenIds: tokenIds(json, 'eos_token_id'),
    padTokenId: tokenIds(json, 'pad_token_id', 0)[0],
    ...parseLabels(json),
  };
}

/** @throws ConfigError */
export function headSizes(
  hiddenSize: number,
  heads: number,
  key: string,
): Pick<BertConfig, 'hiddenSize' | 'heads' | 'headDim'> {
  if (hiddenSize % heads !== 0)
    throw new ConfigError(key, `${hiddenSize} is not a multiple of the number of heads, ${heads}`);
  return { hiddenSize, heads, headDim: hiddenSize / heads };
}

/** @throws ConfigError */
function refuseDecoders(json: JsonObject): void {
  for (const key of ['is_decoder', 'add_cross_attention'])
    if (flag(json, key)) throw new ConfigError(key, 'this model as a decoder is not supported');
  const kind = json.position_embedding_type ?? 'absolute';
  if (kind !== 'absolute')
    throw new ConfigError('position_embedding_type', `${JSON.stringify(kind)} is not supported`);
}
