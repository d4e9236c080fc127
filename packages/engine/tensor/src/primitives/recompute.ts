import { applyOp, type Op, type Tensor } from '../graph.ts';

/** The value of the first operand; what is computed from it is computed anew, once the second operand is known. */
export const recomputeOp: Op = {
  name: 'recompute',
  infer: ([x]) => [x!],
  vjp: ({ cotangents: [dy] }) => [dy, undefined],
};

/**
 * `x` for a second computation: equal expressions are computed once and kept, but what is computed from this is not
 * taken to equal what was computed from `x`. `after` tells one such computation from another and must not be known
 * before it begins: in a gradient rule, the cotangent. So what lies between need not be kept until then.
 */
export const recompute = (x: Tensor, after: Tensor): Tensor => applyOp(recomputeOp, [x, after])[0]!;
