import type { Batch, CollateOptions } from './collate.ts';
import { DataError } from './errors.ts';
import { type Example, ignoreLabel, supervisedTokens } from './example.ts';
import { paddedLength } from './padded-length.ts';

/** Rows for an encoder-decoder: ids `[batchSize, length]` with their mask, labels `[batchSize, labelLength]`. */
export function collateSeq2Seq(rows: readonly Example[], options: CollateOptions): Batch {
  const { padId = 0, maxLength, maxLabelLength } = options;
  const [length, labelLength] = [
    lengthOf(rows, 'ids', 'maxLength', maxLength, options),
    lengthOf(rows, 'labels', 'maxLabelLength', maxLabelLength, options),
  ];
  const batchSize = rows.length;
  const inputIds = new Int32Array(batchSize * length).fill(padId);
  const attentionMask = new Int32Array(batchSize * length);
  const labels = new Int32Array(batchSize * labelLength).fill(ignoreLabel);
  for (const [row, { ids, labels: own }] of rows.entries()) {
    inputIds.set(ids, row * length);
    attentionMask.fill(1, row * length, row * length + ids.length);
    labels.set(own, row * labelLength);
  }
  return {
    inputIds,
    labels,
    attentionMask,
    batchSize,
    length,
    labelLength,
    supervisedTokens: rows.reduce((sum, { labels }) => sum + supervisedTokens(labels, true), 0),
    tokens: rows.reduce((sum, { ids, labels }) => sum + ids.length + labels.length, 0),
  };
}

function lengthOf(
  rows: readonly Example[],
  field: 'ids' | 'labels',
  limit: 'maxLength' | 'maxLabelLength',
  most = Number.POSITIVE_INFINITY,
  options: CollateOptions,
): number {
  const longest = rows.reduce((sum, row) => Math.max(sum, row[field].length), 1);
  if (longest > most)
    throw new DataError(
      `an example has ${longest} ${field === 'ids' ? 'tokens' : 'labels'}, more than ${limit} ${most}: truncate it before`,
    );
  return Math.min(paddedLength(longest, options), most);
}
