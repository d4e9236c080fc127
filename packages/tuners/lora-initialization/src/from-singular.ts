import { columnsOf, floats, range } from '@graftjs/decompositions';
import type { LoraStart } from '@graftjs/lora';
import type { Matrix } from 'ml-matrix';

/** Of `u diag(s) vᵀ`, the parts `at`, divided by the scale: B = u √(s / scale), A = √(s / scale) vᵀ. */
export function rootedStart(
  { u, s, v }: { readonly u: Matrix; readonly s: readonly number[]; readonly v: Matrix },
  at: readonly number[],
  scaling: number,
): LoraStart {
  const roots = at.map((i) => Math.sqrt(s[i]! / scaling));
  return {
    a: floats(columnsOf(v, at).mulRowVector(roots).transpose()),
    b: floats(columnsOf(u, at).mulRowVector(roots)),
    subtracted: true,
  };
}

/** The first `rank` indices. */
export const leading = (rank: number): number[] => range(0, rank);
