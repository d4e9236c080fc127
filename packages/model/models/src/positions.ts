import { add, broadcastTo, iota, narrow, reshape, ShapeError, sub, type Tensor } from '@graftjs/tensor';
import type { CausalInputs } from './architecture.ts';

/**
 * Positions of the tokens of a pass, i32 `[t]` or `[b, t]`: those that are given, else counted from the beginning of
 * each text, which with a cache is in the cache and with segments in the row.
 * @param t tokens of a row, counting a virtual prompt
 * @throws ShapeError for segments with a cache, or with a virtual prompt in front of the row
 */
export function positionsOf({ inputIds, positions, cache, segments }: CausalInputs, t: number): Tensor {
  if (segments && (cache || segments.shape[1] !== t))
    throw new ShapeError(
      'positions',
      [inputIds.shape, segments.shape],
      cache
        ? 'packed texts cannot go on from a cache'
        : `a virtual prompt of ${t - inputIds.shape[1]!} tokens belongs in front of each text, and the texts are packed: train without packing`,
    );
  if (positions) return positions;
  const inRow = iota([t]);
  if (segments) return sub(inRow, reshape(narrow(segments, 2, 0, 1), [-1, t]));
  return cache ? add(inRow, broadcastTo(cache.position, [t])) : inRow;
}

/** A text is longer than the model has positions for. */
export class PositionsError extends RangeError {
  override readonly name = 'PositionsError';
  readonly tokens: number;
  readonly maxPositions: number;

  constructor(tokens: number, maxPositions: number) {
    super(
      `a text of ${tokens} tokens (with padding) is longer than the model's ${maxPositions} positions: cut it`,
    );
    this.tokens = tokens;
    this.maxPositions = maxPositions;
  }
}

/**
 * For learned positions that are counted.
 * @param t tokens of a row, counting a virtual prompt
 * @throws PositionsError
 */
export function checkLength({ positions, segments }: CausalInputs, t: number, maxPositions: number): void {
  if (t > maxPositions && !positions && !segments) throw new PositionsError(t, maxPositions);
}
