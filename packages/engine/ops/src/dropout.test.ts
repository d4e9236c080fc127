import { evaluate } from '@graftjs/reference';
import { gradients, mul, sum, Variable } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { DropoutError, dropout } from './dropout.ts';

const seed = (a: number, b: number) => new Variable([2], Uint32Array.of(a, b));
const ones = (n: number) => new Variable([n], new Float32Array(n).fill(1));

test('drops the share it was asked to and scales the others', () => {
  const n = 20_000;
  const [y] = evaluate([dropout(ones(n), { p: 0.3 }, seed(1, 2), 0)]);
  const kept = y!.filter((v) => v !== 0);
  expect(kept.every((v) => v === 1 / 0.7)).toBe(true);
  // four standard deviations of a binomial count
  expect(Math.abs(kept.length / n - 0.7)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / n));
});

test('the mask depends on the seed and on the stream, and on nothing else', () => {
  const draw = (a: number, stream: number) => dropout(ones(256), { p: 0.5 }, seed(a, 0), stream);
  const [first, again, otherSeed, otherStream] = evaluate([draw(1, 0), draw(1, 0), draw(2, 0), draw(1, 1)]);
  expect(again).toEqual(first);
  expect(otherSeed).not.toEqual(first);
  expect(otherStream).not.toEqual(first);
});

test('the gradient has the mask of the values', () => {
  const x = new Variable(
    [64],
    Float32Array.from({ length: 64 }, (_, i) => i + 1),
  );
  const y = dropout(x, { p: 0.5 }, seed(3, 4), 7);
  const [value, gradient] = evaluate([y, ...gradients(sum(mul(y, 3)), [x])]);
  expect([...gradient!]).toEqual([...value!].map((v) => (v === 0 ? 0 : 6)));
});

test('p = 0 is the identity, p = 1 is zero, and other values are refused', () => {
  const x = ones(4);
  expect(dropout(x, { p: 0 }, seed(0, 0), 0)).toBe(x);
  expect([...evaluate([dropout(x, { p: 1 }, seed(0, 0), 0)])[0]!]).toEqual([0, 0, 0, 0]);
  expect(() => dropout(x, { p: 1.5 }, seed(0, 0), 0)).toThrow(DropoutError);
  expect(() => dropout(x, { p: Number.NaN }, seed(0, 0), 0)).toThrow(DropoutError);
});
