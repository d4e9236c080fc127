import { DataError } from './errors.ts';

export interface PackOptions {
  /** Most tokens of a block. */
  readonly length: number;
  /** How many neighbouring examples are packed together. Default 1024. */
  readonly window?: number;
}

/** How well examples filled blocks. */
export interface PackStatistics {
  readonly examples: number;
  readonly blocks: number;
  /** The part of all blocks' room that tokens take, up to 1. */
  readonly fill: number;
}

/**
 * Examples, by their lengths, into blocks of at most `length` tokens; no example is split. Best-fit decreasing: the
 * examples of a window, the longest first, each go into the fullest block that has room for them, and no two blocks of
 * a window would fit into one. A window of `order` is packed by itself, so that a shuffled order puts other examples
 * together in each epoch.
 *
 * @returns the blocks in the order of their longest examples; each holds indices into `lengths`
 * @throws DataError for an example longer than a block; RangeError for a bad length or window
 */
export const pack = (
  lengths: ArrayLike<number>,
  order: Uint32Array,
  { length, window = 1024 }: PackOptions,
): number[][] => {
  if (!Number.isInteger(length) || length < 1)
    throw new RangeError(`a block's length is ${length}: it must be a whole number of at least 1`);
  if (!Number.isInteger(window) || window < 1)
    throw new RangeError(`window is ${window}: it must be a whole number of at least 1`);
  const blocks: number[][] = [];
  for (let start = 0; start < order.length; start += window) {
    const longestFirst = [...order.subarray(start, start + window)].sort((a, b) => lengths[b]! - lengths[a]!);
    /** Blocks by the tokens that they still have room for. */
    const open: number[][][] = Array.from({ length: length + 1 }, () => []);
    for (const example of longestFirst) {
      const size = lengths[example]!;
      if (size > length)
        throw new DataError(
          `an example has ${size} tokens, more than a block of ${length}: truncate it before`,
        );
      let room = size;
      while (room < length && open[room]!.length === 0) room++;
      const block = open[room]!.pop() ?? [];
      if (block.length === 0) blocks.push(block);
      block.push(example);
      open[room - size]!.push(block);
    }
  }
  return blocks;
};
