import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/**
 * A permutation of `0 … size - 1` that depends on `size`, `seed` and `stream` alone (Fisher–Yates over
 * xoroshiro128+), so that the order of any epoch can be made again without replaying those before it.
 */
export const permutation = (size: number, seed: number, stream = 0): Uint32Array => {
  const random = xoroshiro128plus(mix(mix(seed) + stream));
  const order = Uint32Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = uniformInt(random, 0, i);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
};

/** MurmurHash3's finalizer: neighbouring seeds and epochs get unrelated generators. */
const mix = (value: number): number => {
  let hash = (value + 0x9e3779b9) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
};
