import { DataError } from './errors.ts';
import type { Example } from './example.ts';

/**
 * Cuts a stream of tokens into blocks of `blockLength` that follow each other, every token learnt: the way
 * plain text is prepared for language modelling. `last` says what happens to a shorter rest: `drop` (default)
 * or `keep` it (from two tokens on, fewer have nothing to predict).
 *
 * @throws DataError where not one block remains.
 */
export const chunkText = (
  ids: ArrayLike<number>,
  blockLength: number,
  options: { readonly last?: 'drop' | 'keep' } = {},
): Example[] => {
  if (!Number.isInteger(blockLength) || blockLength < 2)
    throw new RangeError(`blockLength is ${blockLength}: it must be a whole number of at least 2`);
  const all = Int32Array.from(ids);
  const examples: Example[] = [];
  for (let start = 0; start < all.length; start += blockLength) {
    const block = all.slice(start, start + blockLength);
    if (block.length === blockLength || (options.last === 'keep' && block.length >= 2))
      examples.push({ ids: block, labels: block.slice() });
  }
  if (examples.length === 0)
    throw new DataError(
      `${all.length} tokens do not fill one block of ${blockLength}: give more text or shorter blocks`,
    );
  return examples;
};
