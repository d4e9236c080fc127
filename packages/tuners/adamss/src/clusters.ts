/**
 * Clusters of a matrix's rows by k-means, as scikit-learn 1.9 finds them: `KMeans(k, init='random', n_init=1, max_iter=10,
 * random_state=123456789)`. An adapter's file does not say which rows are together: they are found again where it is loaded.
 */
import { range } from '@graftjs/decompositions';
import { TorchRandom } from '@graftjs/peft';
import { Matrix } from 'ml-matrix';

const [seed, passes, tolerance] = [123456789, 10, 1e-4];

/**
 * For each cluster its rows, from the first on. There are `count` clusters, or as many as rows. Where the
 * rows are too much alike for so many, as those of a model whose weights are not read, they are dealt out in turn.
 */
export function clusterRows(rows: Matrix, count: number): readonly (readonly number[])[] {
  const centred = Matrix.sub(rows, Matrix.rowVector(rows.mean('column')).repeat({ rows: rows.rows }));
  const k = Math.min(count, rows.rows);
  let centres = centred.subMatrixRow(firstCentres(rows.rows, k));
  const least = meanOf(centred.variance('column', { unbiased: false })) * tolerance;
  let labels: readonly number[] = [];
  for (let pass = 0; pass < passes; pass++) {
    const next = nearest(centred, centres);
    const settled = labels.length > 0 && next.every((label, i) => label === labels[i]);
    labels = next;
    const moved = centresOf(centred, labels, centres);
    const shift = Matrix.sub(moved, centres).norm('frobenius') ** 2;
    centres = moved;
    if (settled) return rowsByLabel(labels, k);
    if (shift <= least) break;
  }
  return rowsByLabel(nearest(centred, centres), k);
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** `RandomState(seed).choice(length, count, replace=False, p=1/length)`. */
function firstCentres(length: number, count: number): number[] {
  // numpy and torch have the same Mersenne Twister; numpy's numbers take 53 bits of it.
  const random = new TorchRandom(seed);
  const uniform = (): number => ((random.bits() >>> 5) * 2 ** 26 + (random.bits() >>> 6)) / 2 ** 53;
  const found: number[] = [];
  while (found.length < count) {
    const drawn = Array.from({ length: count - found.length }, uniform);
    const left = range(0, length).filter((i) => !found.includes(i));
    for (const x of drawn) {
      const place = left[Math.min(Math.floor(x * left.length), left.length - 1)]!;
      if (!found.includes(place)) found.push(place);
    }
  }
  return found;
}

/** Of each row the number of the nearest centre; of equally near ones the first. */
function nearest(rows: Matrix, centres: Matrix): number[] {
  const norms = range(0, centres.rows).map((j) => centres.getRowVector(j).norm('frobenius') ** 2);
  const products = rows.mmul(centres.transpose());
  return range(0, rows.rows).map((i) => {
    let best = 0;
    const distance = (j: number): number => norms[j]! - 2 * products.get(i, j);
    for (let j = 1; j < centres.rows; j++) if (distance(j) < distance(best)) best = j;
    return best;
  });
}

/** The mean of each cluster's rows; a cluster that has none gets the row that is farthest from its own centre. */
function centresOf(rows: Matrix, labels: readonly number[], before: Matrix): Matrix {
  const sums = Matrix.zeros(before.rows, before.columns);
  const counts = new Array<number>(before.rows).fill(0);
  const move = (row: number, label: number, sign: 1 | -1): void => {
    for (let j = 0; j < sums.columns; j++) sums.set(label, j, sums.get(label, j) + sign * rows.get(row, j));
    counts[label]! += sign;
  };
  for (const [i, label] of labels.entries()) move(i, label, 1);
  const empty = range(0, before.rows).filter((label) => counts[label] === 0);
  const distances = labels.map((label, i) =>
    Matrix.sub(rows.getRowVector(i), before.getRowVector(label)).norm('frobenius'),
  );
  const farthest = range(0, rows.rows).sort((a, b) => distances[b]! - distances[a]!);
  for (const [n, label] of empty.entries()) {
    move(farthest[n]!, labels[farthest[n]!]!, -1);
    move(farthest[n]!, label, 1);
  }
  return sums.divColumnVector(counts.map((n) => Math.max(n, 1)));
}

function rowsByLabel(labels: readonly number[], count: number): number[][] {
  const found = range(0, count).map((label) => [...labels.keys()].filter((i) => labels[i] === label));
  return found.every(({ length }) => length > 0)
    ? found
    : rowsByLabel(
        labels.map((_, i) => i % count),
        count,
      );
}
