/**
 * Biases of attention's scores by relative position (Raffel et al., 2020): a table of one row for each bucket of
 * distances and one column for each head. Near distances have buckets of their own; farther ones share buckets that
 * grow with the logarithm of the distance, and from `maxDistance` on there is one. As `transformers` computes them, in
 * f32.
 */
import type { Context, Embedding } from '@graftjs/nn';
import {
  add,
  broadcastTo,
  constant,
  iota,
  less,
  narrow,
  reshape,
  sub,
  type Tensor,
  take,
  transpose,
  where,
} from '@graftjs/tensor';
import type { PassInputs } from './multi-head-attention.ts';

export interface RelativeBuckets {
  /** Rows of the table. */
  readonly buckets: number;
  readonly maxDistance: number;
  /** Half of the buckets are for keys after the query; otherwise those have the bucket of the query itself. */
  readonly bidirectional: boolean;
}

/** The bucket of a key that lies `distance` = key - query after the query. */
export function relativeBucket(
  distance: number,
  { buckets, maxDistance, bidirectional }: RelativeBuckets,
): number {
  const count = bidirectional ? buckets >> 1 : buckets;
  const first = bidirectional && distance > 0 ? count : 0;
  const far = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  const near = count >> 1;
  if (far < near) return first + far;
  const f32 = Math.fround;
  const share = f32(f32(Math.log(f32(far / near))) / f32(Math.log(maxDistance / near)));
  return first + Math.min(near + Math.trunc(f32(share * (count - near))), count - 1);
}

/** What a stack of layers adds to their scores. */
export class RelativePositions {
  readonly #maxDistance: number;
  /** Of the distances from -maxDistance to maxDistance. */
  readonly #buckets: Tensor;

  constructor(rule: RelativeBuckets) {
    const { maxDistance } = rule;
    const size = 2 * maxDistance + 1;
    this.#maxDistance = maxDistance;
    this.#buckets = constant(
      Int32Array.from({ length: size }, (_, i) => relativeBucket(i - maxDistance, rule)),
      [size],
    );
  }

  /** The bias of one pass, which its layers share. @param table `[buckets, heads]` */
  bias(table: Embedding, context: Context): NonNullable<PassInputs['bias']> {
    const known = new Map<string, Tensor>();
    return (queries, keys, offset) => {
      const key = `${queries} ${keys}`;
      const bias = known.get(key) ?? this.#biasOf(table, queries, keys, offset, context);
      known.set(key, bias);
      return bias;
    };
  }

  /** `[1, heads, queries, keys]` */
  #biasOf(
    table: Embedding,
    queries: number,
    keys: number,
    offset: Tensor | undefined,
    context: Context,
  ): Tensor {
    const count = queries + keys;
    const place = iota([count]);
    // Distances 0, 1, …, keys - 1, and behind them those below 0, the least first.
    const around = where(less(place, keys), place, sub(place, count));
    const distance = offset ? sub(around, offset) : sub(around, keys - queries);
    const ids = take(this.#buckets, add(distance, this.#maxDistance)); // beyond the ends: the last bucket
    const byHead = transpose(table.forward(ids, context)); // [heads, count]
    const heads = byHead.shape[0]!;
    // Rows that are read one shorter than they are begin one place earlier each: row q, key k is at distance k - q.
    const rows = broadcastTo(reshape(byHead, [heads, 1, count]), [heads, queries, count]);
    const line = narrow(reshape(rows, [heads, queries * count]), 1, 0, queries * (count - 1));
    const shifted = reshape(line, [heads, queries, count - 1]);
    return reshape(narrow(shifted, 2, 0, keys), [1, heads, queries, keys]);
  }
}
