import { HostRandom, normalArray } from '@graftjs/nn';
import { describe, expect, test } from 'vitest';
import { type Columns, productTriples, type SingularTriples, singularTriples } from './singular-values.ts';

const random = new HostRandom(5);
const columnsOf = (count: number, length: number): Columns =>
  Array.from({ length: count }, () => Float64Array.from(normalArray(length, 1, random)));
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** The largest error of an element `[row, column]`. */
function error(
  { left, singular, right }: SingularTriples,
  element: (row: number, column: number) => number,
): number {
  let worst = 0;
  for (let row = 0; row < left[0]!.length; row++)
    for (let column = 0; column < right[0]!.length; column++) {
      const sum = singular.reduce((n, value, i) => n + value * left[i]![row]! * right[i]![column]!, 0);
      worst = Math.max(worst, Math.abs(sum - element(row, column)));
    }
  return worst;
}

function expectOrthonormal(vectors: Columns, count = vectors.length): void {
  for (let i = 0; i < count; i++)
    for (let j = 0; j <= i; j++) expect(dot(vectors[i]!, vectors[j]!)).toBeCloseTo(i === j ? 1 : 0, 12);
}

describe('singular triples', () => {
  test.each([
    [4, 9],
    [6, 6],
    [1, 3],
  ])('of %i columns of %i', (count, length) => {
    const matrix = columnsOf(count, length);
    const triples = singularTriples(matrix);
    expect(error(triples, (row, column) => matrix[column]![row]!)).toBeLessThan(1e-13);
    expectOrthonormal(triples.left);
    expectOrthonormal(triples.right);
    expect([...triples.singular].sort((a, b) => b - a)).toEqual(triples.singular);
  });

  test('of a matrix without full rank', () => {
    const [a, b] = columnsOf(2, 5);
    const matrix = [a!, b!, a!.map((x, i) => 2 * x - b![i]!), new Float64Array(5)];
    const triples = singularTriples(matrix);
    expect(error(triples, (row, column) => matrix[column]![row]!)).toBeLessThan(1e-13);
    expect(triples.singular[2]).toBeLessThan(1e-13);
    expectOrthonormal(triples.left, 2);
  });

  test('of a product', () => {
    const [b, a] = [columnsOf(3, 7), columnsOf(3, 5)];
    const triples = productTriples(b, a);
    const element = (row: number, column: number): number =>
      b.reduce((sum, vector, i) => sum + vector[row]! * a[i]![column]!, 0);
    expect(error(triples, element)).toBeLessThan(1e-13);
    expectOrthonormal(triples.left);
    expectOrthonormal(triples.right);
  });
});
