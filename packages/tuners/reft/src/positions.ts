/** Which tokens are at the beginning and at the end of their texts. */
import {
  add,
  cast,
  iota,
  less,
  max,
  mul,
  narrow,
  neg,
  reshape,
  sub,
  sum,
  type Tensor,
  where,
} from '@graftjs/tensor';

/** What a pass tells of its texts. */
export interface Texts {
  /** i32 `[b, keys]`, 0 where a key is padding. */
  readonly keyMask?: Tensor | undefined;
  /** i32 `[b, t, 2]`: where the text of each token begins and ends. */
  readonly segments?: Tensor | undefined;
}

/** Tokens before and after each token in its text, i32 `[b | 1, t, 1]`. */
export interface Distances {
  readonly before: Tensor;
  readonly after: Tensor;
}

/** Without a mask or segments every row is one text. */
export function distances(tokens: number, { keyMask, segments }: Texts): Distances {
  const at = iota([1, tokens, 1], 1);
  const between = (start: Tensor, end: Tensor): Distances => ({
    before: sub(at, start),
    after: sub(add(end, -1), at),
  });
  if (segments) return between(narrow(segments, 2, 0, 1), narrow(segments, 2, 1, 1));
  if (!keyMask) return { before: at, after: sub(tokens - 1, at) };
  const b = keyMask.shape[0]!;
  const mask = narrow(keyMask, 1, 0, tokens);
  const count = sum(cast(mask, 'f32'), [1]);
  const index = cast(iota([1, tokens], 1), 'f32');
  const first = neg(max(where(less(mask, 1), -tokens, neg(index)), [1]));
  const start = cast(reshape(first, [b, 1, 1]), 'i32');
  return between(start, add(start, cast(reshape(count, [b, 1, 1]), 'i32')));
}

/** Whether a distance is below `count` and not before the text itself. */
export const isWithin = (distance: Tensor, count: number): Tensor =>
  mul(cast(less(distance, count), 'i32'), cast(less(-1, distance), 'i32'));
