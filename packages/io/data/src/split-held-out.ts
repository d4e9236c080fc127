import { DataError } from './errors.ts';
import { permutation } from './permutation.ts';

/**
 * Takes a seeded random `fraction` of the items aside for evaluation; both parts keep their order. With a
 * fraction above 0 each part has at least one item.
 *
 * @throws DataError where there are too few items for two parts; RangeError for a fraction outside [0, 1).
 */
export const splitHeldOut = <T>(
  items: readonly T[],
  fraction: number,
  seed = 0,
): { train: T[]; heldOut: T[] } => {
  if (!(fraction >= 0 && fraction < 1))
    throw new RangeError(`fraction is ${fraction}: it must be at least 0 and below 1`);
  if (fraction === 0) return { train: [...items], heldOut: [] };
  if (items.length < 2)
    throw new DataError(`${items.length} items cannot be split in two: give more data, or fraction 0`);
  const count = Math.min(items.length - 1, Math.max(1, Math.round(items.length * fraction)));
  const aside = new Set(permutation(items.length, seed).subarray(0, count));
  return {
    train: items.filter((_, i) => !aside.has(i)),
    heldOut: items.filter((_, i) => aside.has(i)),
  };
};
