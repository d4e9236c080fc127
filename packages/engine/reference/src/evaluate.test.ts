import * as t from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { evaluate } from './evaluate.ts';
import { philox } from './philox.ts';
import { erf } from './scalar-functions.ts';

test('philox gives the known answers of Random123', () => {
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const f = 0xffffffff;
  expect(philox([f, f, f, f], [f, f])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
});

test('erf equals tabulated values to 15 digits', () => {
  expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
  expect(erf(1)).toBeCloseTo(0.8427007929497149, 14);
  expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 14);
  expect(erf(3)).toBeCloseTo(0.9999779095030014, 14);
});

test('movement operations place elements as NumPy does', () => {
  const x = t.constant(Float32Array.from([0, 1, 2, 3, 4, 5]), [2, 3]);
  const [moved] = evaluate([t.pad(t.transpose(x), [0, 1], [1, 0])]);
  expect([...moved!]).toEqual([0, 0, 3, 0, 1, 4, 0, 2, 5, 0, 0, 0]);
  const [joined] = evaluate([t.concat([x, t.slice(x, [0, 1], [2, 2])], 1)]);
  expect([...joined!]).toEqual([0, 1, 2, 1, 2, 3, 4, 5, 4, 5]);
});

/** d loss / d x of each differentiable primitive against central differences, relative to the largest entry. */
const positive = Float32Array.from([0.4, 1.3, 2.1, 0.7, 1.9, 0.2]);
const cases: Record<string, (x: t.Tensor) => t.Tensor> = {
  neg: t.neg,
  exp: t.exp,
  log: t.log,
  sqrt: t.sqrt,
  rsqrt: t.rsqrt,
  reciprocal: t.reciprocal,
  sin: t.sin,
  cos: t.cos,
  tanh: t.tanh,
  erf: t.erf,
  abs: t.abs,
  sigmoid: t.sigmoid,
  silu: t.silu,
  softplus: t.softplus,
  add: (x) => t.add(x, t.mul(x, x)),
  sub: (x) => t.sub(2, x),
  mul: (x) => t.mul(x, t.sin(x)),
  div: (x) => t.div(t.cos(x), x),
  pow: (x) => t.pow(x, t.sin(x)),
  maximum: (x) => t.maximum(x, t.sub(2, x)),
  minimum: (x) => t.minimum(x, t.mul(x, x)),
  where: (x) => t.where(t.less(x, 1), t.mul(x, x), x),
  cast: (x) => t.cast(x, 'f32'),
  reshape: (x) => t.mul(t.reshape(x, [3, 2]), t.reshape(t.sin(x), [3, 2])),
  permute: (x) => t.exp(t.transpose(x)),
  expand: (x) => t.broadcastTo(t.unsqueeze(x, 0), [4, 2, 3]),
  slice: (x) => t.exp(t.slice(x, [0, 1], [2, 2])),
  pad: (x) => t.exp(t.pad(x, [1, 0], [0, 2])),
  concat: (x) => t.exp(t.concat([x, t.mul(x, 2)], 0)),
  sum: (x) => t.exp(t.sum(x, [0])),
  max: (x) => t.exp(t.max(x, [1])),
  mean: (x) => t.exp(t.mean(x, [1])),
  matmul: (x) => t.matmul(x, t.transpose(t.sin(x))),
  linear: (x) => t.linear(x, t.cos(x)),
  take: (x) => t.exp(t.take(x, t.constant(Int32Array.from([1, 0, 1]), [3]))),
  scatterAdd: (x) => t.exp(t.scatterAdd(x, t.constant(Int32Array.from([2, 2]), [2]), 3)),
};

test.each(Object.keys(cases))('gradient of %s', (name) => {
  const x = new t.Variable([2, 3], positive.slice());
  const y = cases[name]!(x);
  const weights = t.constant(
    Float32Array.from({ length: y.size }, (_, i) => Math.sin(i + 1)),
    y.shape,
  );
  const loss = t.sum(t.mul(y, weights));
  const [analytic] = evaluate(t.gradients(loss, [x]));
  const h = 1e-5;
  const at = (i: number, d: number): number => {
    const moved = Float64Array.from(positive);
    moved[i]! += d;
    return evaluate([loss], new Map([[x, moved]]))[0]![0]!;
  };
  const numeric = Array.from({ length: 6 }, (_, i) => (at(i, h) - at(i, -h)) / (2 * h));
  const scale = Math.max(...numeric.map(Math.abs));
  numeric.forEach((g, i) => {
    expect(Math.abs(g - analytic![i]!)).toBeLessThan(1e-6 * Math.max(scale, 1));
  });
});

test('second derivatives: d²/dx² of sum(x³) is 6x', () => {
  const x = new t.Variable([6], positive.slice());
  const [first] = t.gradients(t.sum(t.mul(x, t.mul(x, x))), [x]);
  const [second] = evaluate(t.gradients(t.sum(first!), [x]));
  second!.forEach((v, i) => {
    expect(v).toBeCloseTo(6 * positive[i]!, 12);
  });
});

test('a frozen weight gets no node: only what leads to the targets is differentiated', () => {
  const x = new t.Variable([2, 2], Float32Array.from([1, 2, 3, 4]));
  const frozen = new t.Variable([2, 2], Float32Array.from([1, 0, 0, 1]));
  const [g] = t.gradients(t.sum(t.matmul(x, frozen)), [x]);
  const names: string[] = [];
  const visit = (n: t.Node): void => {
    names.push(n.op.name);
    for (const i of n.inputs) visit(i.node);
  };
  visit(g!.node);
  expect(names.filter((n) => n === 'matmul')).toHaveLength(1);
});

test('shape errors name the operation, the shapes and what it needs', () => {
  const a = t.zeros([2, 3]);
  expect(() => t.matmul(a, t.zeros([4, 5]))).toThrow('matmul([2, 3], [4, 5]): the inner axes have 3 and 4');
  expect(() => t.add(a, t.zeros([2, 4]))).toThrow('axis -1 has 3 and 4');
  expect(() => t.sum(a, [2])).toThrow('axis 2 is not one of its 2 axes');
});

test('a target between the loss and another target does not cut its path', () => {
  const x = new t.Variable([3], Float32Array.of(1, 2, 3));
  const middle = t.mul(x, x);
  const loss = t.sum(t.mul(middle, x));
  const [toMiddle, toX] = evaluate(t.gradients(loss, [middle, x]));
  expect([...toMiddle!]).toEqual([1, 2, 3]);
  expect([...toX!]).toEqual([3, 12, 27]);
});

test('operands of a composite may be computed from one another', () => {
  const x = new t.Variable([2], Float32Array.of(0.5, 2));
  const product = t.defineOp({ name: 'product', decompose: ([a, b]) => [t.mul(a!, b!)] });
  const [y] = t.applyOp(product, [x, t.mul(x, x)]);
  expect([...evaluate(t.gradients(t.sum(y!), [x]))[0]!]).toEqual([0.75, 12]);
});
