/** The basis V `[in, in]` that weights share, and what each weight is in it, on the host in float64. */
import { range } from '@graftjs/decompositions';
import { EigenvalueDecomposition, inverse, Matrix, pseudoInverse, QrDecomposition } from 'ml-matrix';

/**
 * Of weights `[out, in]`, one on top of the other W = Q R: V = Rᵀ E, E the eigenvectors of the mean of (Q_iᵀ Q_i + α 1)⁻¹,
 * Q_i the rows of Q that belong to the i-th weight (a generalized singular value decomposition of all of them at once).
 * Where W has fewer rows than columns: its right singular vectors.
 */
export function sharedBasis(weights: readonly Matrix[], alpha: number): Matrix {
  const columns = weights[0]!.columns;
  const stacked = new Matrix(weights.flatMap((weight) => weight.to2DArray()));
  if (stacked.rows < columns) {
    const { eigenvectorMatrix } = symmetric(stacked.transpose().mmul(stacked));
    return eigenvectorMatrix.subMatrixColumn(range(0, columns).reverse());
  }
  const qr = new QrDecomposition(stacked);
  const [q, r] = [qr.orthogonalMatrix, qr.upperTriangularMatrix];
  const mean = Matrix.zeros(columns, columns);
  let from = 0;
  for (const { rows } of weights) {
    const part = q.subMatrixRow(range(from, from + rows));
    from += rows;
    mean.add(
      inverse(
        part
          .transpose()
          .mmul(part)
          .add(Matrix.eye(columns, columns, alpha)),
      ),
    );
  }
  return r.transpose().mmul(symmetric(mean.div(weights.length)).eigenvectorMatrix);
}

const symmetric = (matrix: Matrix): EigenvalueDecomposition =>
  new EigenvalueDecomposition(matrix, { assumeSymmetric: true });

export interface InBasis {
  /** `[out, in]`, columns of length 1, or 0. */
  readonly u: Float32Array<ArrayBuffer>;
  /** The lengths that they had, `[in]`. */
  readonly lambda: Float32Array<ArrayBuffer>;
}

/** Of a basis what weights in it need. */
export class Basis {
  readonly #inverse: Matrix;

  constructor(v: Matrix) {
    this.#inverse = inverted(v).transpose();
  }

  /** W `[out, in]` as U diag(λ) Vᵀ. */
  coordinates(weight: Matrix): InBasis {
    const product = weight.mmul(this.#inverse);
    const lengths = range(0, product.columns).map((j) => product.getColumnVector(j).norm('frobenius'));
    const lambda = Float32Array.from(lengths);
    const u = product.mulRowVector(lengths.map((length) => (length > 1e-12 ? 1 / length : 0)));
    return { u: Float32Array.from(u.to1DArray()), lambda };
  }
}

function inverted(v: Matrix): Matrix {
  try {
    return inverse(v);
  } catch {
    return pseudoInverse(v, 1e-6);
  }
}
