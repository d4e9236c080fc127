import type { CollateOptions } from './collate.ts';

/** The length of a batch whose longest row is so long. */
export const paddedLength = (
  longest: number,
  { buckets, padToMultipleOf = 1 }: Pick<CollateOptions, 'buckets' | 'padToMultipleOf'>,
): number => {
  const fitting = (buckets ?? []).filter((bucket) => bucket >= longest);
  return fitting.length > 0 ? Math.min(...fitting) : Math.ceil(longest / padToMultipleOf) * padToMultipleOf;
};
