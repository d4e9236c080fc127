import { Matrix } from 'ml-matrix';
import { expect, test } from 'vitest';
import { largestSingularValues, matrixOf, orthonormal, singularValues } from './decompositions.ts';

/** Numbers that look random, the same each time. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

const random = (rows: number, columns: number): Matrix => {
  const next = numbers();
  return matrixOf(rows, columns, Array.from({ length: rows * columns }, next));
};
const largest = (m: Matrix): number => Math.max(...m.to1DArray().map(Math.abs));
const identity = (n: number): Matrix => Matrix.eye(n, n);

test.each([
  [7, 5],
  [5, 7],
  [6, 6],
])('%i x %i: the singular values and vectors give the matrix back', (rows, columns) => {
  const matrix = random(rows, columns);
  const { u, s, v } = singularValues(matrix);
  expect([u.rows, u.columns, v.rows, v.columns]).toEqual(
    [rows, 5, columns, 5].map((n, i) => (i % 2 ? Math.min(rows, columns) : n)),
  );
  expect(
    largest(
      u
        .clone()
        .mulRowVector([...s])
        .mmul(v.transpose())
        .sub(matrix),
    ),
  ).toBeLessThan(1e-12);
  expect(largest(u.transpose().mmul(u).sub(identity(s.length)))).toBeLessThan(1e-12);
  expect([...s].sort((a, b) => b - a)).toEqual(s);
});

test.each([
  [30, 20],
  [20, 30],
])('%i x %i: the largest singular values alone', (rows, columns) => {
  // falling by a fifth each, so that the error falls fast
  const [left, right] = [orthonormal(random(rows, 20)), orthonormal(random(columns, 20))];
  const values = Array.from({ length: 20 }, (_, i) => 0.8 ** i);
  const matrix = left.clone().mulRowVector(values).mmul(right.transpose());
  const { u, s, v } = largestSingularValues(matrix, 10, 8, { normal: numbers() });
  for (let i = 0; i < 4; i++) {
    expect(s[i]).toBeCloseTo(values[i]!, 8);
    const cosine = (a: Matrix, b: Matrix): number => Math.abs(a.getColumnVector(i).dot(b.getColumnVector(i)));
    expect(cosine(u, left)).toBeCloseTo(1, 8);
    expect(cosine(v, right)).toBeCloseTo(1, 8);
  }
});
