import { isFloat } from '../dtype.ts';
import { applyOp, type Op, type Tensor } from '../graph.ts';
import { broadcastShapes, ShapeError, sameShape } from '../shape.ts';
import { add, cast, castOp } from './elementwise.ts';
import { broadcastTo, isTranspose, permuteOp, reshape, reshapeOp, transpose } from './movement.ts';

/**
 * `[..., M, K] x [..., K, N] -> [..., M, N]` with equal leading axes; sums in f32. Transposes and repeated
 * operands are movement operations around it, which the compiler folds into strides.
 */
export const matmulOp: Op = {
  name: 'matmul',
  infer: ([a, b]) => {
    const [x, y] = [a!.shape, b!.shape];
    if (x.length < 2 || x.length !== y.length || !sameShape(x.slice(0, -2), y.slice(0, -2)))
      throw new ShapeError('matmul', [x, y], 'needs equal leading axes and two more');
    if (x.at(-1) !== y.at(-2))
      throw new ShapeError('matmul', [x, y], `the inner axes have ${x.at(-1)} and ${y.at(-2)}`);
    if (a!.dtype !== b!.dtype || !isFloat(a!.dtype))
      throw new ShapeError(
        'matmul',
        [x, y],
        `needs one floating-point dtype, got ${a!.dtype} and ${b!.dtype}`,
      );
    return [{ shape: [...x.slice(0, -1), y.at(-1)!], dtype: a!.dtype }];
  },
  vjp: ({ inputs: [a, b], cotangents: [dc], needs }) => [
    needs[0] ? productLike(a!, dc!, transpose(b!)) : undefined,
    needs[1] ? productLike(b!, transpose(a!), dc!) : undefined,
  ],
};

/**
 * x y, the gradient of `operand`: where that is a transpose, as the transpose of yᵀ xᵀ, which is then the gradient of
 * what was transposed, in its layout.
 */
const productLike = (operand: Tensor, x: Tensor, y: Tensor): Tensor =>
  isTranspose(operand) ? transpose(matmul(transpose(y), transpose(x))) : matmul(x, y);

/** Matrix product; leading axes broadcast. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.rank < 2 || b.rank < 2)
    throw new ShapeError('matmul', [a.shape, b.shape], 'needs two axes or more in each');
  const batch = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  const x = broadcastTo(a, [...batch, ...a.shape.slice(-2)]);
  const y = broadcastTo(b, [...batch, ...b.shape.slice(-2)]);
  return applyOp(matmulOp, [x, y])[0]!;
}

/**
 * `x Wᵀ (+ bias)` over the last axis: x `[..., in]`, weight `[out, in]`, bias `[out]` -> `[..., out]`, of x's dtype.
 * Weight and bias may be stored in another float dtype: they are widened as they are read, never in memory.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [out, inner] = weight.shape;
  if (weight.rank !== 2 || x.shape.at(-1) !== inner)
    throw new ShapeError(
      'linear',
      [x.shape, weight.shape],
      `the last axis of x must be ${inner}, the weight's second`,
    );
  const rows = reshape(x, [-1, inner!]);
  const product = matmul(rows, transpose(cast(weight, x.dtype)));
  const y = reshape(product, [...x.shape.slice(0, -1), out!]);
  return bias ? add(y, cast(bias, x.dtype)) : y;
}

/**
 * What `linear` without a bias was applied to, where `y` is its result and nothing more: for operations that do better
 * than to compute it.
 */
export function linearOperands(y: Tensor): { readonly x: Tensor; readonly weight: Tensor } | undefined {
  const product = under(y, reshapeOp);
  if (product.node.op !== matmulOp) return undefined;
  const [rows, columns] = product.node.inputs as [Tensor, Tensor];
  if (rows.rank !== 2 || columns.node.op !== permuteOp) return undefined;
  const weight = columns.node.inputs[0]!;
  return { x: under(rows, reshapeOp), weight: weight.node.op === castOp ? weight.node.inputs[0]! : weight };
}

const under = (t: Tensor, op: Op): Tensor => (t.node.op === op ? under(t.node.inputs[0]!, op) : t);
