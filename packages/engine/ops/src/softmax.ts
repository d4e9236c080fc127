import {
  applyOp,
  defineOp,
  detach,
  div,
  exp,
  max,
  mul,
  normalizeAxis,
  type Op,
  sub,
  sum,
  type Tensor,
} from '@graftjs/tensor';

export const softmaxOp: Op = defineOp({
  name: 'softmax',
  infer: ([x]) => [x!],
  decompose: ([x], attrs) => {
    const axes = [attrs.axis as number];
    // The greatest element only guards against overflow: the value does not depend on it, nor does the gradient.
    const e = exp(sub(x!, detach(max(x!, axes, { keepDims: true }))));
    return [div(e, sum(e, axes, { keepDims: true }))];
  },
  vjp: ({ outputs: [y], cotangents: [dy], attrs }) => {
    const weighted = mul(y!, dy!);
    return [sub(weighted, mul(y!, sum(weighted, [attrs.axis as number], { keepDims: true })))];
  },
});

/** exp(x) / sum(exp(x)) along `axis` (the last unless named), without overflow. Same shape and dtype as `x`. */
export const softmax = (x: Tensor, axis = -1): Tensor =>
  applyOp(softmaxOp, [x], { axis: normalizeAxis('softmax', axis, x.shape) })[0]!;
