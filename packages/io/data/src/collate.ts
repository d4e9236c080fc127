import { collateSeq2Seq } from './collate-seq2seq.ts';
import { DataError } from './errors.ts';
import { type Example, ignoreLabel, supervisedTokens } from './example.ts';
import { paddedLength } from './padded-length.ts';

/** Examples padded on the right to one length. Arrays are `[batchSize, length]`, row by row. */
export interface Batch {
  readonly inputIds: Int32Array;
  /** Not shifted; {@link ignoreLabel} where nothing is learnt, in the padding, and where a packed example begins. */
  readonly labels: Int32Array;
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: Int32Array;
  /**
   * Of packed rows, `[batchSize, length, 2]`: where the example of each token begins in its row, and where it ends
   * (one after its last token). A token sees its own example only, and its position is its distance from the
   * beginning. Padding belongs to none: both are the end of the last one.
   */
  readonly segments?: Int32Array;
  readonly batchSize: number;
  readonly length: number;
  /** Of batches for encoder-decoders: their labels are `[batchSize, labelLength]`. */
  readonly labelLength?: number;
  /** Terms of the loss: labels that are learnt, without the first of each example unless `learnsFirst` says so. */
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
  /** Whether the first label of an example is learnt, too: where virtual tokens stand in front of it. Default false. */
  readonly learnsFirst?: boolean;
  /** Lengths to choose from, the smallest that fits; past the largest, `padToMultipleOf` decides. */
  readonly buckets?: readonly number[];
  /**
   * The examples are of an encoder-decoder (see `tokenizeSeq2Seq`): their labels are an answer of its own length, padded
   * to a length of its own by the same rules, and the first of them is learnt. Default false.
   */
  readonly seq2seq?: boolean;
  /** With `seq2seq`: most labels of a row. Default: no limit. */
  readonly maxLabelLength?: number;
}

/** One example, or several that are packed one after another. */
export type Row = Example | readonly Example[];

const isPacked = (row: Row): row is readonly Example[] => Array.isArray(row);

/**
 * Rows to a batch; `segments` is there where any row is packed, `labelLength` with `seq2seq`.
 * @throws DataError for a row longer than `maxLength`; RangeError without rows, and for packed ones with `seq2seq`.
 */
export const collate = (rows: readonly Row[], options: CollateOptions = {}): Batch => {
  if (rows.length === 0) throw new RangeError('a batch needs at least one example');
  if (options.seq2seq) return collateSeq2Seq(rows.map(alone), options);
  const examples = rows.map((row) => (isPacked(row) ? row : [row]));
  const longest = examples.reduce((most, row) => Math.max(most, tokensOf(row)), 1);
  const { padId = 0, maxLength = Number.POSITIVE_INFINITY, learnsFirst = false } = options;
  if (longest > maxLength)
    throw new DataError(
      `an example has ${longest} tokens, more than maxLength ${maxLength}: truncate it before`,
    );

  const batchSize = rows.length;
  const length = Math.min(paddedLength(longest, options), maxLength);
  const size = batchSize * length;
  const inputIds = new Int32Array(size).fill(padId);
  const labels = new Int32Array(size).fill(ignoreLabel);
  const attentionMask = new Int32Array(size);
  const segments = rows.some(isPacked) ? new Int32Array(2 * size) : undefined;
  for (const [row, packed] of examples.entries()) {
    let end = 0;
    for (const { ids, labels: own } of packed) {
      const begin = end;
      end += ids.length;
      inputIds.set(ids, row * length + begin);
      labels.set(own, row * length + begin);
      // What came before is another example, which must not learn to go on with this one.
      if (begin > 0) labels[row * length + begin] = ignoreLabel;
      for (let i = begin; i < end; i++) segments?.set([begin, end], 2 * (row * length + i));
    }
    attentionMask.fill(1, row * length, row * length + end);
    segments?.fill(end, 2 * (row * length + end), 2 * (row + 1) * length);
  }
  const all = examples.flat();
  return {
    inputIds,
    labels,
    attentionMask,
    ...(segments ? { segments } : {}),
    batchSize,
    length,
    supervisedTokens: all.reduce((sum, { labels }) => sum + supervisedTokens(labels, learnsFirst), 0),
    tokens: tokensOf(all),
  };
};

const tokensOf = (examples: readonly Example[]): number =>
  examples.reduce((sum, { ids }) => sum + ids.length, 0);

const alone = (row: Row): Example => {
  if (isPacked(row)) throw new RangeError('texts of encoder-decoders are not packed: train without packing');
  return row;
};
