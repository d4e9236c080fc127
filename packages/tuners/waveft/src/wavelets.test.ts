import { expect, test } from 'vitest';
import { families, synthesisFilters } from './wavelets.ts';

test('db2 is what Daubechies gives in closed form', () => {
  const s = Math.sqrt(3);
  const expected = [1 + s, 3 + s, 3 - s, 1 - s].map((value) => value / (4 * Math.SQRT2));
  synthesisFilters('db2').low.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 14);
  });
});

test.each(families)('%s is orthonormal with its shifts, and its details see no polynomial', (family) => {
  const { low, high } = synthesisFilters(family);
  const moments = Number(family.slice(2));
  expect(low).toHaveLength(2 * moments);
  const product = (a: readonly number[], b: readonly number[], shift: number): number =>
    a.reduce((sum, value, i) => sum + value * (b[i + shift] ?? 0), 0);
  for (let shift = 0; shift < 2 * moments; shift += 2) {
    expect(product(low, low, shift)).toBeCloseTo(shift === 0 ? 1 : 0, 10);
    expect(product(high, high, shift)).toBeCloseTo(shift === 0 ? 1 : 0, 10);
    expect(product(low, high, shift)).toBeCloseTo(0, 10);
  }
  for (let degree = 0; degree < moments; degree++) {
    const scale = (2 * moments) ** degree;
    expect(high.reduce((sum, value, i) => sum + (value * i ** degree) / scale, 0)).toBeCloseTo(0, 6);
  }
});
