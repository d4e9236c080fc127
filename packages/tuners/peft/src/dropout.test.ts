import { Context } from '@graftjs/nn';
import { evaluate } from '@graftjs/reference';
import { fill, type Tensor, Variable } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { featureDropout, moduleDropout } from './dropout.ts';

const [rows, features] = [3, 400];
const change = fill(2, [rows, features]);

/** What the drop makes of a change of twos, in a training pass with this seed. */
function dropped(drop: (context: Context) => Tensor, seed: number): number[] {
  const key = Uint32Array.of(seed, 7);
  const variable = new Variable([2], key);
  const context = new Context({ training: true, seed: variable });
  return [...evaluate([drop(context)], new Map([[variable, key]]))[0]!];
}

describe('dropout of features', () => {
  const p = 0.3;
  const of = (rescaled: boolean, seed = 1): number[] =>
    dropped((context) => featureDropout(change, { p, rescaled }, context, 'test'), seed);

  test('drops the same features of every row, about as many as asked', () => {
    const values = of(false);
    expect(new Set(values)).toEqual(new Set([0, 2]));
    const first = values.slice(0, features);
    expect(values).toEqual([...first, ...first, ...first]);
    // 400 draws: a deviation of 0.023, of which four are allowed
    expect(Math.abs(first.filter((value) => value === 0).length / features - p)).toBeLessThan(0.092);
    expect(of(false, 2)).not.toEqual(values);
  });

  test('rescaled, it keeps the mean', () => {
    const values = of(true);
    expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(2, 10);
  });

  test('that drops all gives zeros', () => {
    const all = dropped((context) => featureDropout(change, { p: 1, rescaled: true }, context, 'test'), 1);
    expect(all.every((value) => value === 0)).toBe(true);
  });
});

test('dropout of the module drops all or nothing, about as often as asked', () => {
  const passes = Array.from({ length: 200 }, (_, seed) =>
    dropped((context) => moduleDropout(change, 0.25, context, 'test'), seed),
  );
  for (const values of passes) expect(new Set(values).size).toBe(1);
  // 200 draws: a deviation of 0.031, of which four are allowed
  const share = passes.filter(([value]) => value === 0).length / passes.length;
  expect(Math.abs(share - 0.25)).toBeLessThan(0.124);
});

test('outside of training nothing is dropped', () => {
  expect(featureDropout(change, { p: 0.5, rescaled: true }, new Context(), 'test')).toBe(change);
  expect(moduleDropout(change, 0.5, new Context(), 'test')).toBe(change);
});
