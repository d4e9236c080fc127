import { inverse } from '@graftjs/ops';
import {
  abs,
  add,
  applyOp,
  cast,
  defineOp,
  equal,
  iota,
  less,
  matmul,
  mul,
  narrow,
  neg,
  type Op,
  reciprocal,
  ShapeError,
  sqrt,
  sub,
  sum,
  type Tensor,
  transpose,
  where,
} from '@graftjs/tensor';

interface Reflection {
  /** `[m, 1]` */
  readonly v: Tensor;
  /** 2 / vᵀv, `[1, 1]` */
  readonly scale: Tensor;
}

/** `x - scale · v vᵀ x`, x `[m, n]`. */
const reflect = (x: Tensor, { v, scale }: Reflection): Tensor =>
  sub(x, mul(v, mul(sum(mul(v, x), [0], { keepDims: true }), scale)));

/** Takes column k below its diagonal to zero, and the diagonal to the sign that it did not have (LAPACK's `geqrf`). */
function reflectionOf(x: Tensor, k: number): Reflection {
  const row = iota([x.shape[0]!, 1], 0);
  const column = narrow(x, 1, k, 1);
  const below = where(less(row, k), 0, column);
  const norm = sqrt(sum(mul(below, below), [0], { keepDims: true }));
  const diagonal = narrow(column, 0, k, 1);
  const v = where(equal(row, k), add(column, where(less(diagonal, 0), neg(norm), norm)), below);
  return { v, scale: reciprocal(mul(norm, add(norm, abs(diagonal)))) };
}

const orthonormalColumnsOp: Op = defineOp({
  name: 'orthonormalColumns',
  infer: ([x]) => [x!],
  decompose: ([x]) => {
    const [m, n] = x!.shape as [number, number];
    const reflections: Reflection[] = [];
    // A single element has nothing below it, and stays.
    for (let k = 0, left = x!; k < Math.min(n, m - 1); k++) {
      const reflection = reflectionOf(left, k);
      reflections.push(reflection);
      left = reflect(left, reflection);
    }
    const unit = cast(equal(iota([m, n], 0), iota([m, n], 1)), 'f32');
    return [reflections.reduceRight(reflect, unit)];
  },
  // Walter and Lehmann (2010), with no gradient to R: dP = (dQ + Q sym(-dQᵀ Q)) R⁻ᵀ, sym taking the lower triangle up.
  vjp: ({ inputs: [x], outputs: [q], cotangents: [dq] }) => {
    const products = neg(matmul(transpose(dq!), q!)); // [n, n]
    const upper = less(iota(products.shape, 0), iota(products.shape, 1));
    const symmetric = where(upper, transpose(products), products);
    const triangle = matmul(transpose(q!), x!);
    return [matmul(add(dq!, matmul(q!, symmetric)), transpose(inverse(triangle)))];
  },
});

/**
 * Q of the QR decomposition of x `[m, n]`, n ≤ m, f32, by Householder's reflections: with the signs that LAPACK gives,
 * and so `torch.linalg.qr`. For few columns: each is two reflections, one after the other.
 * @throws ShapeError
 */
export function orthonormalColumns(x: Tensor): Tensor {
  if (x.rank !== 2 || x.shape[1]! > x.shape[0]!)
    throw new ShapeError('orthonormalColumns', [x.shape], 'needs a matrix with no more columns than rows');
  return applyOp(orthonormalColumnsOp, [x])[0]!;
}
