import { evaluate } from '@graftjs/reference';
import { expect, test } from 'vitest';
import { checkpoint, exp, gradients, mul, recomputeOp, sum, type Tensor, Variable } from './index.ts';

const variable = (...values: number[]): Variable => new Variable([values.length], Float32Array.from(values));

test('value and gradients are those of the plain computation, also by what is only read from outside', () => {
  const [x, w] = [variable(0.5, -1), variable(2, 3)];
  const outside = exp(w);
  const plain = (): Tensor => mul(exp(mul(x, w)), mul(outside, x));
  const values = (y: Tensor): Float64Array[] => evaluate([y, ...gradients(sum(mul(y, y)), [x, w])]);
  expect(values(checkpoint(plain))).toEqual(values(plain()));
});

test('a checkpoint in a checkpoint', () => {
  const x = variable(0.5, -1);
  const plain = (y: Tensor): Tensor => mul(exp(y), y);
  const nested = checkpoint(() => plain(checkpoint(() => plain(x))));
  const of = (y: Tensor): Float64Array[] => evaluate([y, ...gradients(sum(y), [x])]);
  expect(of(nested)).toEqual(of(plain(plain(x))));
});

test('what comes from outside needs no checkpoint', () => {
  const x = variable(1);
  const y = exp(x);
  expect(checkpoint(() => x)).toBe(x);
  expect(checkpoint(() => y)).toBe(y);
});

test('the backward pass reads inputs that are no variables through a mark that keeps them from being found equal', () => {
  const x = variable(1, 2);
  const y = checkpoint(() => exp(exp(mul(x, 2))));
  const inner = mul(x, 3);
  const z = checkpoint(() => exp(mul(inner, inner)));
  const marks = (t: Tensor): number =>
    t.node.inputs.reduce((n, input) => n + marks(input), t.node.op === recomputeOp ? 1 : 0);
  expect(marks(gradients(sum(y), [x])[0]!)).toBe(0);
  expect(marks(gradients(sum(z), [x])[0]!)).toBeGreaterThan(0);
});
