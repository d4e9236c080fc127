/** Rotations made of antisymmetric matrices, for methods that rotate a layer's input. */
import { inverse } from '@graftjs/ops';
import { add, cast, equal, iota, matmul, mul, permute, reshape, sub, type Tensor } from '@graftjs/tensor';

const unit = (n: number): Tensor => cast(equal(iota([n, n], 0), iota([n, n], 1)), 'f32');

/** Cayley's transform (I - Q)(I + Q)⁻¹ = 2 (I + Q)⁻¹ - I of antisymmetric Q `[..., n, n]`: a rotation. */
export function cayley(q: Tensor): Tensor {
  const one = unit(q.shape.at(-1)!);
  return sub(mul(inverse(add(one, q)), 2), one);
}

/**
 * `x blockdiag(R₁, R₂, …)` over the last axis: x `[..., in]`, blocks `[in / n, n, n]`, or `[1, n, n]` that all share.
 */
export function rotateBlocks(x: Tensor, blocks: Tensor): Tensor {
  const [count, n] = blocks.shape as [number, number];
  if (count === 1) return reshape(matmul(reshape(x, [-1, n]), reshape(blocks, [n, n])), x.shape);
  const parts = permute(reshape(x, [-1, count, n]), [1, 0, 2]); // [blocks, tokens, n]
  return reshape(permute(matmul(parts, blocks), [1, 0, 2]), x.shape);
}
