import type { JsonObject } from '@graftjs/checkpoint';
import { activationOf } from '../activations.ts';
import { type BertConfig, headSizes } from '../bert/config.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';
import { parseLabels } from '../encoder/labels.ts';

/** DistilBERT: what `config.json` says, with Hugging Face's defaults filled in. */
export interface DistilBertConfig extends BertConfig {
  /** Chance of dropout before the head that finds answers. */
  readonly answerDropout: number;
}

/** @throws ConfigError */
export function parseDistilBertConfig(json: JsonObject): DistilBertConfig {
  if (flag(json, 'sinusoidal_pos_embds'))
    throw new ConfigError('sinusoidal_pos_embds', 'a fixed table of positions is not supported');
  const positionRows = count(json, 'max_position_embeddings', 512);
  return {
    modelType: 'distilbert',
    vocabSize: count(json, 'vocab_size', 30522),
    layers: count(json, 'n_layers', 6, mostLayers),
    ...headSizes(count(json, 'dim', 768), count(json, 'n_heads', 12), 'dim'),
    intermediateSize: count(json, 'hidden_dim', 3072),
    activation: activationOf(json, 'activation', 'gelu'),
    normEps: 1e-12,
    hiddenDropout: chance(json, 'dropout', 0.1),
    attentionDropout: chance(json, 'attention_dropout', 0.1),
    classifierDropout: chance(json, 'seq_classif_dropout', 0.2),
    answerDropout: chance(json, 'qa_dropout', 0.1),
    positionRows,
    maxPositions: positionRows,
    positionsAfter: undefined,
    tokenTypes: 0,
    tieWordEmbeddings: flag(json, 'tie_word_embeddings', true),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id')[0],
    eosTokenIds: tokenIds(json, 'eos_token_id'),
    padTokenId: tokenIds(json, 'pad_token_id', 0)[0],
    ...parseLabels(json),
  };
}
