import { DataError } from './errors.ts';
import { type Example, ignoreLabel, supervisedTokens } from './example.ts';

/** Examples padded on the right to one length. All three arrays are `[batchSize, length]`, row by row. */
export interface Batch {
  readonly inputIds: Int32Array;
  /** Not shifted; {@link ignoreLabel} where nothing is learnt, and in the padding. */
  readonly labels: Int32Array;
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: Int32Array;
  readonly batchSize: number;
  readonly length: number;
  /** Terms of the loss: labels that are learnt, without the first of each row. */
  readonly supervisedTokens: number;
  /** Tokens, without padding. */
  readonly tokens: number;
}

export interface CollateOptions {
  /** Id written into the padding; it is masked, so any id of the vocabulary will do. Default 0. */
  readonly padId?: number;
  /** Rounds the length up, so that batches repeat a few shapes. Default 1. */
  readonly padToMultipleOf?: number;
  /** Most tokens of a row; also caps what rounding gives. Default: no limit. */
  readonly maxLength?: number;
  /** Lengths to choose from, the smallest that fits; past the largest, `padToMultipleOf` decides. */
  readonly buckets?: readonly number[];
}

/** @throws DataError for an example longer than `maxLength`; RangeError without examples. */
export const collate = (examples: readonly Example[], options: CollateOptions = {}): Batch => {
  if (examples.length === 0) throw new RangeError('a batch needs at least one example');
  const longest = examples.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  const { padId = 0, maxLength = Number.POSITIVE_INFINITY } = options;
  if (longest > maxLength)
    throw new DataError(
      `an example has ${longest} tokens, more than maxLength ${maxLength}: truncate it before`,
    );

  const batchSize = examples.length;
  const length = Math.min(paddedLength(longest, options), maxLength);
  const inputIds = new Int32Array(batchSize * length).fill(padId);
  const labels = new Int32Array(batchSize * length).fill(ignoreLabel);
  const attentionMask = new Int32Array(batchSize * length);
  let supervised = 0;
  let tokens = 0;
  for (const [row, example] of examples.entries()) {
    const start = row * length;
    inputIds.set(example.ids, start);
    labels.set(example.labels, start);
    attentionMask.fill(1, start, start + example.ids.length);
    supervised += supervisedTokens(example.labels);
    tokens += example.ids.length;
  }
  return { inputIds, labels, attentionMask, batchSize, length, supervisedTokens: supervised, tokens };
};

const paddedLength = (longest: number, { buckets, padToMultipleOf = 1 }: CollateOptions): number => {
  const fitting = (buckets ?? []).filter((bucket) => bucket >= longest);
  return fitting.length > 0 ? Math.min(...fitting) : Math.ceil(longest / padToMultipleOf) * padToMultipleOf;
};
