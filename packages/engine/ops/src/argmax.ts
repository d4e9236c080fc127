import {
  applyOp,
  defineOp,
  equal,
  iota,
  max,
  normalizeAxis,
  type Op,
  sub,
  type Tensor,
  where,
} from '@graftjs/tensor';

export const argmaxOp: Op = defineOp({
  name: 'argmax',
  decompose: ([x], attrs) => {
    const axis = attrs.axis as number;
    const last = x!.shape[axis]! - 1;
    const fromEnd = sub(last, iota(x!.shape, axis));
    const hit = equal(x!, max(x!, [axis], { keepDims: true }));
    // The first of equal elements is the one farthest from the end.
    return [sub(last, max(where(hit, fromEnd, 0), [axis]))];
  },
  vjp: () => [undefined],
});

/** Index (i32) of the greatest element along `axis` (the last unless named), which is dropped; the first of equals. */
export const argmax = (x: Tensor, axis = -1): Tensor =>
  applyOp(argmaxOp, [x], { axis: normalizeAxis('argmax', axis, x.shape) })[0]!;
