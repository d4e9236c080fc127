import { KvCache } from '@graftjs/transformer';
import type { CausalLM, Seq2SeqLM } from './architecture.ts';

/** An empty cache for the keys and values of a decoder. */
export const newCache = (
  { blocks }: Pick<CausalLM | Seq2SeqLM, 'blocks'>,
  batchSize: number,
  capacity: number,
): KvCache => new KvCache({ layers: blocks.map(({ parts }) => parts.attention.heads), batchSize, capacity });
