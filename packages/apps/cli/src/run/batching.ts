import type { CollateOptions, DataLoaderOptions, Tokenizer } from '@graftjs/data';
import type { Config } from '../config/schema.ts';
import type { ModelLimits } from './examples.ts';

/** Lengths of batches are rounded up to this, so that programs are compiled for few shapes. */
const padToMultipleOf = 32;

/** How a run makes batches of examples. */
export interface Batching {
  readonly collate: CollateOptions;
  readonly batchSize: number;
  readonly packing: boolean;
}

/** Most tokens of an example, and of a row. */
export const maxLengthOf = ({ data }: Config, { maxPositions }: ModelLimits): number =>
  Math.min(data.maxLength, maxPositions);

export const batchingOf = (config: Config, tokenizer: Tokenizer, limits: ModelLimits): Batching => ({
  collate: {
    padId: tokenizer.padId ?? tokenizer.eosId ?? 0,
    padToMultipleOf,
    maxLength: maxLengthOf(config, limits),
  },
  batchSize: config.training.batchSize,
  packing: config.data.packing,
});

/** The same, for a `DataLoader`. */
export const loaderOptions = ({ collate, batchSize, packing }: Batching): DataLoaderOptions => ({
  ...collate,
  batchSize,
  packing,
});
