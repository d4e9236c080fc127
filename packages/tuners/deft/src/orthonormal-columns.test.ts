import { evaluate } from '@graftjs/reference';
import { gradients, mul, sum, Variable } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { orthonormalColumns } from './orthonormal-columns.ts';

/** Numbers in (-1, 1) without a pattern: squares, since sines of even steps make matrices of rank 2. */
const numbers = (size: number, salt: number): Float64Array =>
  Float64Array.from({ length: size }, (_, i) => Math.sin((i + 1) ** 2 * (1.29898 + salt)));

test.each([
  [5, 3],
  [4, 4],
  [3, 1],
  [1, 1],
])('columns of [%i, %i]: orthonormal, of the same span, with gradients of differences', (m, n) => {
  const x = new Variable([m, n], new Float32Array(m * n));
  const values = numbers(m * n, 0);
  const weights = new Variable([m, n], Float32Array.from(numbers(m * n, 7)));
  const q = orthonormalColumns(x);
  const loss = sum(mul(q, weights));
  const at = (moved: Float64Array) =>
    evaluate(
      [q, loss, ...gradients(loss, [x])],
      new Map([
        [x, moved],
        [weights, numbers(m * n, 7)],
      ]),
    );
  const [columns, , slopes] = at(values) as [Float64Array, Float64Array, Float64Array];
  const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number): number =>
    Array.from({ length: m }, (_, row) => a[row * n + i]! * b[row * n + j]!).reduce((s, v) => s + v, 0);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      expect(dot(columns, i, columns, j)).toBeCloseTo(i === j ? 1 : 0, 12);
      // Qᵀ X is upper triangular: the first columns of Q span those of X.
      if (i > j) expect(dot(columns, i, values, j)).toBeCloseTo(0, 12);
    }
  const step = 1e-6;
  values.forEach((value, i) => {
    const difference =
      (at(values.with(i, value + step))[1]![0]! - at(values.with(i, value - step))[1]![0]!) / (2 * step);
    expect(slopes[i]).toBeCloseTo(difference, 6);
  });
});

test('refuses more columns than rows', () => {
  expect(() => orthonormalColumns(new Variable([2, 3], new Float32Array(6)))).toThrow(/no more columns/);
});
