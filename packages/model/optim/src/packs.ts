import type { Variable } from '@graftjs/tensor';

/** Bytes of the parameters that one kernel updates together, so that every device can bind them. */
const packBytes = 2 ** 26;
const mostTogether = 2000;

/** Parameters in packs of at most {@link packBytes}; a larger one is alone in its own. */
export function packsOf<T extends { readonly param: Variable }>(parts: readonly T[]): T[][] {
  const packs: T[][] = [];
  let bytes = 0;
  for (const part of parts) {
    const last = packs.at(-1);
    const { byteLength } = part.param;
    if (last && bytes + byteLength <= packBytes && last.length < mostTogether) last.push(part);
    else {
      packs.push([part]);
      bytes = 0;
    }
    bytes += byteLength;
  }
  return packs;
}
