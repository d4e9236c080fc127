import type { JsonObject } from '@graftjs/checkpoint';
import { type BertConfig, parseBertConfig } from '../bert/config.ts';
import { ConfigError } from '../config-json.ts';

/** As `transformers` has them where `config.json` is silent; all else is as BERT's. */
const defaults = { vocab_size: 50265, pad_token_id: 1, bos_token_id: 0, eos_token_id: 2 };

/** RoBERTa's and XLM-RoBERTa's. @throws ConfigError */
export function parseRobertaConfig(json: JsonObject): BertConfig {
  const vocabSize = json.model_type === 'xlm-roberta' ? { vocab_size: 30522 } : {};
  const config = parseBertConfig({ ...defaults, ...vocabSize, ...json });
  const { padTokenId, positionRows } = config;
  if (padTokenId === undefined)
    throw new ConfigError('pad_token_id', 'is needed: positions are counted from after it');
  const maxPositions = positionRows - padTokenId - 1;
  if (maxPositions < 1)
    throw new ConfigError('max_position_embeddings', `${positionRows} leaves no position after padding's`);
  return { ...config, positionsAfter: padTokenId, maxPositions };
}
