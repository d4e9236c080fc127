import { applyOp, type Op, type Tensor } from '../graph.ts';
import { normalizeAxis, type Shape } from '../shape.ts';
import { cast, div, equal, mul } from './elementwise.ts';
import { broadcastTo, reshape } from './movement.ts';

const reduced = (shape: Shape, axes: readonly number[]): Shape =>
  shape.map((d, i) => (axes.includes(i) ? 1 : d));

/** Sum over `attrs.axes`, which stay with extent 1. */
export const sumOp: Op = {
  name: 'sum',
  infer: ([x], attrs) => [{ shape: reduced(x!.shape, attrs.axes as readonly number[]), dtype: x!.dtype }],
  vjp: ({ inputs: [x], cotangents: [dy] }) => [broadcastTo(dy!, x!.shape)],
};

/** Greatest over `attrs.axes`, which stay with extent 1. Ties share the gradient equally. */
export const maxOp: Op = {
  name: 'max',
  infer: ([x], attrs) => [{ shape: reduced(x!.shape, attrs.axes as readonly number[]), dtype: x!.dtype }],
  vjp: ({ inputs: [x], outputs: [y], cotangents: [dy], attrs }) => {
    const hits = cast(equal(x!, broadcastTo(y!, x!.shape)), x!.dtype);
    const share = div(dy!, sum(hits, attrs.axes as readonly number[], { keepDims: true }));
    return [mul(hits, share)];
  },
};

export interface ReduceOptions {
  readonly keepDims?: boolean;
}

function reduce(op: Op, x: Tensor, axes: readonly number[] | undefined, options: ReduceOptions): Tensor {
  const over = (axes ?? x.shape.map((_, i) => i)).map((a) => normalizeAxis(op.name, a, x.shape));
  const kept = over.length ? applyOp(op, [x], { axes: [...over].sort((a, b) => a - b) })[0]! : x;
  return options.keepDims
    ? kept
    : reshape(
        kept,
        x.shape.filter((_, i) => !over.includes(i)),
      );
}

/** Sum over `axes` (all where none are named). */
export const sum = (x: Tensor, axes?: readonly number[], options: ReduceOptions = {}): Tensor =>
  reduce(sumOp, x, axes, options);

/** Greatest element over `axes` (all where none are named). */
export const max = (x: Tensor, axes?: readonly number[], options: ReduceOptions = {}): Tensor =>
  reduce(maxOp, x, axes, options);

/** Mean over `axes` (all where none are named). */
export function mean(x: Tensor, axes?: readonly number[], options: ReduceOptions = {}): Tensor {
  const total = sum(x, axes, options);
  return mul(total, total.size / x.size);
}
