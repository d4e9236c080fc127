/**
 * Singular value decomposition by one-sided Jacobi rotations (Hestenes, 1958): pairs of columns are rotated until all
 * are orthogonal; their lengths are the singular values then. In float64, about 10 n² m operations for n columns of m.
 */

/** A matrix as its columns. */
export type Columns = readonly Float64Array[];

/** `Σ singular[i] · left[i] right[i]ᵀ`, the largest first. */
export interface SingularTriples {
  /** Unit vectors; zeros where the singular value is 0. */
  readonly left: Columns;
  readonly singular: readonly number[];
  readonly right: Columns;
}

const maxSweeps = 60;

/** All singular triples of a matrix, at best one with no more columns than rows. */
export function singularTriples(matrix: Columns): SingularTriples {
  const count = matrix.length;
  const moved = matrix.map((column) => column.slice());
  const turned = moved.map((_, i) => unit(count, i));
  for (let sweep = 0; sweep < maxSweeps; sweep++) {
    let isDone = true;
    for (let i = 0; i < count; i++)
      for (let j = i + 1; j < count; j++) {
        const [a, b] = [moved[i]!, moved[j]!];
        const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)];
        if (Math.abs(ab) <= 1e-15 * Math.sqrt(aa * bb)) continue;
        isDone = false;
        const zeta = (bb - aa) / (2 * ab);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        rotate(a, b, tangent);
        rotate(turned[i]!, turned[j]!, tangent);
      }
    if (isDone) break;
  }
  const lengths = moved.map((column) => Math.sqrt(dot(column, column)));
  const order = lengths.map((_, i) => i).sort((i, j) => lengths[j]! - lengths[i]!);
  return {
    left: order.map((i) => moved[i]!.map((x) => (lengths[i] === 0 ? 0 : x / lengths[i]!))),
    singular: order.map((i) => lengths[i]!),
    right: order.map((i) => turned[i]!),
  };
}

/** The singular triples of `b a` without that matrix: `b` by its columns, `a` by its rows. */
export function productTriples(b: Columns, a: Columns): SingularTriples {
  const outer = singularTriples(b);
  // b a = left (s rightᵀ a): the rows of the second factor
  const rows = outer.right.map((direction, i) => scaled(combination(a, direction), outer.singular[i]!));
  const inner = singularTriples(rows);
  return {
    left: inner.right.map((weights) => combination(outer.left, weights)),
    singular: inner.singular,
    right: inner.left,
  };
}

const unit = (length: number, at: number): Float64Array => {
  const vector = new Float64Array(length);
  vector[at] = 1;
  return vector;
};

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function rotate(a: Float64Array, b: Float64Array, tangent: number): void {
  const cosine = 1 / Math.hypot(1, tangent);
  const sine = cosine * tangent;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    a[i] = cosine * x - sine * y;
    b[i] = sine * x + cosine * y;
  }
}

/** `Σ weights[i] · vectors[i]`. */
function combination(vectors: Columns, weights: Float64Array): Float64Array {
  const sum = new Float64Array(vectors[0]!.length);
  for (const [i, vector] of vectors.entries())
    for (let k = 0; k < sum.length; k++) sum[k]! += weights[i]! * vector[k]!;
  return sum;
}

const scaled = (vector: Float64Array, factor: number): Float64Array => vector.map((x) => x * factor);
