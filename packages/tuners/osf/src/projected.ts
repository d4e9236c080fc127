import { applyOp, defineOp, linear, matmul, sub, type Tensor, transpose } from '@graftjs/tensor';

/**
 * x `[n, m]` whose gradient has no part in the span of the orthonormal rows of `frozen` `[k, m]`: what comes to x is
 * g - (g Fᵀ) F.
 */
export const projectedRows = (x: Tensor, frozen: Tensor): Tensor => applyOp(projectedRowsOp, [x, frozen])[0]!;

/** The same for columns: x `[m, n]`, `frozen` `[m, k]`. */
export const projectedColumns = (x: Tensor, frozen: Tensor): Tensor =>
  transpose(projectedRows(transpose(x), transpose(frozen)));

const projectedRowsOp = defineOp({
  name: 'osfProjectedRows',
  decompose: ([x]) => [x!],
  vjp: ({ inputs: [, frozen], cotangents: [g] }) => [
    sub(g!, matmul(linear(g!, frozen!), frozen!)),
    undefined,
  ],
});
