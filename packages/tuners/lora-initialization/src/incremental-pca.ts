import { singularValues } from '@graftjs/decompositions';
import { Matrix } from 'ml-matrix';

/**
 * Principal components of rows that come in batches (Ross et al., 2008, as scikit-learn and peft have it): what is known
 * of the rows before, the new ones, and the shift of the mean are decomposed together.
 */
export class IncrementalPca {
  /** `[count, n]`, the largest first; each with a positive largest element. Empty before the first batch. */
  components: readonly (readonly number[])[] = [];
  singular: readonly number[] = [];
  /** Of the variance of all rows, what each component explains. */
  explained: readonly number[] = [];
  readonly #count: number;
  #rows = 0;
  #mean: number[] = [];
  /** Sums of squared distances from the mean. */
  #squares: number[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** Takes in rows `[m, n]`, at least as many as components. */
  add(rows: Matrix): void {
    const [before, added] = [this.#rows, rows.rows];
    const total = before + added;
    const mean = rows.mean('column');
    const centered = Matrix.sub(rows, Matrix.ones(added, 1).mmul(Matrix.rowVector(mean)));
    const squares = Matrix.mul(centered, centered).sum('column');
    const stacked = centered.to2DArray();
    if (before > 0) {
      const shift = mean.map((m, i) => this.#mean[i]! - m);
      const weight = (before * added) / total;
      stacked.unshift(...this.components.map((row, i) => row.map((x) => x * this.singular[i]!)));
      stacked.push(shift.map((d) => d * Math.sqrt(weight)));
      this.#squares = squares.map((q, i) => q + this.#squares[i]! + weight * shift[i]! ** 2);
      this.#mean = mean.map((m, i) => (before * this.#mean[i]! + added * m) / total);
    } else {
      this.#squares = squares;
      this.#mean = mean;
    }
    this.#rows = total;
    const { s, v } = singularValues(new Matrix(stacked));
    const variance = this.#squares.reduce((sum, q) => sum + q, 0);
    this.singular = s.slice(0, this.#count);
    this.explained = this.singular.map((value) => value ** 2 / variance);
    this.components = this.singular.map((_, i) => turned(v.getColumn(i)));
  }
}

/** With the sign that makes the largest element positive. */
function turned(vector: number[]): number[] {
  const largest = vector.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
  return largest < 0 ? vector.map((x) => -x) : vector;
}
