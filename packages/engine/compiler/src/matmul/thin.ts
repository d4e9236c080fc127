import { guardedBlockFunction, linesFunctions, loadText } from './access.ts';
import { BUILTINS, type Form, header, PROLOGUE } from './frame.ts';
import type { MatmulEpilogue } from './problem.ts';

/**
 * Products with a short inner axis, as LoRA's second factor has: each lane keeps four columns of B whole, and the
 * subgroup goes down the rows of A, whose elements it loads one a lane and passes around. Sums begin and end within
 * one pass of the loop, so what is left is to store the results.
 */
export interface ThinTile {
  /** The inner axis, rounded up to a multiple of 4. */
  readonly inner: number;
}

/** The longest inner axis whose columns a lane keeps. */
export const LONGEST_THIN = 32;

const ROWS = 64;

/** Rows and columns of the result that a subgroup computes. */
export const thinExtents = (size: number) => ({ rows: ROWS, columns: 4 * size });

/** Elements of A are loaded one at a time. */
export const thinForm = (form: Form): Form => ({ ...form, a: 'scalar' });

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export function thinWgsl(form: Form, { inner }: ThinTile, size: number, epilogue?: MatmulEpilogue): string {
  const loads = range(Math.ceil(inner / size));
  const terms = range(inner).map(
    (k) => `vec4(subgroupBroadcast(v${Math.floor(k / size)}, ${k % size}u)) * b${k >> 2}[${k % 4}]`,
  );
  return `enable subgroups;
${header(form, epilogue)}
${linesFunctions('b', form)}
${guardedBlockFunction('b', form.b)}
fn mmAElement(row: u32, k: u32, base: u32) -> f32 {
  if (k >= mm.k) { return 0.0; }
  return ${loadText('a', form, 'base + row * mm.aLine + k * mm.aInner')};
}
@compute @workgroup_size(${size})
fn main(${BUILTINS}, @builtin(subgroup_invocation_id) lane: u32) {
${PROLOGUE}
  let column = tileN * ${4 * size}u + lane * 4u;
  let lines = mmBLines(bBase, column);
${range(inner / 4)
  .map((u) => `  let b${u} = mmBGuarded(lines, ${4 * u}u, end);`)
  .join('\n')}
  for (var row = tileM * ${ROWS}u; row < min(tileM * ${ROWS}u + ${ROWS}u, mm.m); row++) {
${loads.map((g) => `    let v${g} = mmAElement(row, ${g * size}u + lane, aBase);`).join('\n')}
    let sum = ${terms.join('\n      + ')};
    mmStore(cBase, row, column, sum);
  }
}
`;
}
