import { expect, test } from 'vitest';
import { lineFit, powerFit } from './power-fit.ts';

test('a power law is found, and how far a point is from it', () => {
  const law = powerFit([1, 2, 4, 8].map((x) => [x, 3 * x ** 1.5] as const));
  expect(law.exponent).toBeCloseTo(1.5, 12);
  expect(law.factor).toBeCloseTo(3, 12);
  expect(law.residual).toBeCloseTo(1, 12);
  const bent = powerFit([
    [1, 1],
    [2, 4],
    [4, 4],
  ]);
  expect(bent.exponent).toBeCloseTo(1, 12);
  expect(bent.residual).toBeCloseTo(2 ** (2 / 3), 12);
});

test('a line', () => {
  const { slope, intercept } = lineFit([
    [0, 1],
    [1, 3],
    [2, 5],
  ]);
  expect([slope, intercept]).toEqual([2, 1]);
});
