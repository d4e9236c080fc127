/** Decompositions of matrices on the host, in float64. */
import { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';

/** `u · diag(s) · vᵀ`: u `[m, k]`, v `[n, k]`, the largest singular value first. */
export interface Singular {
  readonly u: Matrix;
  readonly s: readonly number[];
  readonly v: Matrix;
}

/** Where random numbers come from: a `HostRandom` is one. */
export interface NormalNumbers {
  normal(): number;
}

export const matrixOf = (rows: number, columns: number, values: ArrayLike<number>): Matrix =>
  Matrix.from1DArray(rows, columns, Array.from(values));

export const floats = (matrix: Matrix): Float32Array<ArrayBuffer> => Float32Array.from(matrix.to1DArray());

/** The whole decomposition: some 20 · m · n · min(m, n) operations. */
export function singularValues(matrix: Matrix): Singular {
  const svd = new SingularValueDecomposition(matrix, { autoTranspose: true });
  return { u: svd.leftSingularVectors, s: svd.diagonal, v: svd.rightSingularVectors };
}

/**
 * Approximates the `count` largest singular values and their vectors (Halko, Martinsson and Tropp, 2009, algorithms
 * 4.4 and 5.1, as `torch.svd_lowrank` has them): some (4 · iterations + 4) · m · n · count operations. The error of a
 * singular value falls by the square of the ratio of the first one left out to it with each iteration.
 */
export function largestSingularValues(
  matrix: Matrix,
  count: number,
  iterations: number,
  random: NormalNumbers,
): Singular {
  const isWide = matrix.rows < matrix.columns;
  const a = isWide ? matrix.transpose() : matrix;
  const drawn = Matrix.zeros(a.columns, Math.min(count, a.columns)).apply(function (this: Matrix, i, j) {
    this.set(i, j, random.normal());
  });
  const across = a.transpose();
  let basis = orthonormal(a.mmul(drawn));
  for (let i = 0; i < iterations; i++) basis = orthonormal(a.mmul(orthonormal(across.mmul(basis))));
  const { u, s, v } = singularValues(basis.transpose().mmul(a));
  const left = basis.mmul(u);
  return isWide ? { u: v, s, v: left } : { u: left, s, v };
}

/** An orthonormal basis of the columns, of which there are no more than rows. */
export const orthonormal = (matrix: Matrix): Matrix => new QrDecomposition(matrix).orthogonalMatrix;

/** Columns of a decomposition. */
export const columnsOf = (matrix: Matrix, indices: readonly number[]): Matrix =>
  matrix.subMatrixColumn([...indices]);

/** Numbers from `from` on, below `to`. */
export const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
