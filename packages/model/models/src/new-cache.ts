import { KvCache } from '@graftjs/transformer';
import type { CausalLM } from './architecture.ts';

/** An empty cache for the keys and values of a model. */
export const newCache = ({ blocks }: CausalLM, batchSize: number, capacity: number): KvCache =>
  new KvCache({ layers: blocks.map(({ parts }) => parts.attention.heads), batchSize, capacity });
