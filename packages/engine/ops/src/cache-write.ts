import {
  add,
  and,
  applyOp,
  defineOp,
  iota,
  type KernelFactory,
  less,
  not,
  type Op,
  permute,
  reshape,
  ShapeError,
  sameShape,
  sizeOf,
  sub,
  type Tensor,
  take,
  where,
} from '@graftjs/tensor';
import { elementKernel, vectorWidth } from './element-kernel.ts';

/** Writes the rows of the update where the cache stands, and touches no other. */
const kernel: KernelFactory = ({ inputs: [cache, update] }, traits) => {
  const [, , rows, d] = cache!.shape as [number, number, number, number];
  if (cache!.dtype !== 'f32' || update!.dtype !== 'f32') return undefined;
  const { width, type } = vectorWidth(d);
  const dispatch = elementKernel(
    {
      label: 'cacheWrite',
      count: sizeOf(update!.shape) / width,
      buffers: [
        ['cache', type, { output: 0 }],
        ['rows', type, { input: 1 }],
        ['position', 'i32', { input: 2 }],
      ],
      words: [
        ['columns', 'u32', d / width],
        ['newRows', 'u32', update!.shape[2]!],
        ['cacheRows', 'u32', rows],
      ],
      body: `  let row = i / p.columns;
  let destination = position[0] + i32(row % p.newRows);
  if (destination >= 0 && u32(destination) < p.cacheRows) {
    cache[((row / p.newRows) * p.cacheRows + u32(destination)) * p.columns + i % p.columns] = rows[i];
  }`,
    },
    traits,
  );
  return { dispatches: [dispatch], inPlace: [{ output: 0, input: 0 }] };
};

export const cacheWriteOp: Op = defineOp({
  name: 'cacheWrite',
  infer: ([cache]) => [cache!],
  decompose: ([cache, update, position]) => {
    const [rows, count] = [cache!.shape[2]!, update!.shape[2]!];
    const row = iota([rows]);
    const inside = and(not(less(row, position!)), less(row, add(position!, count)));
    const byRow = take(permute(update!, [2, 0, 1, 3]), sub(row, position!));
    return [where(reshape(inside, [rows, 1]), permute(byRow, [1, 2, 0, 3]), cache!)];
  },
  kernel,
});

/**
 * `cache` `[b, h, T, d]` with its rows position ... position + t - 1 replaced by `update` `[b, h, t, d]`.
 * `position` is an i32 scalar of data; rows that would fall outside the cache are dropped.
 * @throws ShapeError where update is not the cache but for a third axis that is no longer.
 */
export function cacheWrite(cache: Tensor, update: Tensor, position: Tensor): Tensor {
  const [b, h, rows, d] = cache.shape;
  const count = update.shape[2] ?? 0;
  if (cache.rank !== 4 || !sameShape(update.shape, [b!, h!, count, d!]) || count > rows!)
    throw new ShapeError(
      'cacheWrite',
      [cache.shape, update.shape],
      'needs a cache [b, h, T, d] and an update [b, h, t, d] with t at most T',
    );
  if (position.dtype !== 'i32' || position.size !== 1)
    throw new ShapeError('cacheWrite', [position.shape], 'needs an i32 scalar as position');
  return applyOp(cacheWriteOp, [cache, update, reshape(position, [])])[0]!;
}
