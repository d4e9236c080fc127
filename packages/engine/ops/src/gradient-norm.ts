import { add, div, minimum, sqrt, type Tensor } from '@graftjs/tensor';
import { squaredNorm } from './squared-norm.ts';

/** sqrt of the sum of the squares of all elements of all tensors: an f32 scalar, 0 where there are none. */
export const globalNorm = (tensors: readonly Tensor[]): Tensor => sqrt(squaredNorm(tensors));

/**
 * The factor that brings gradients of global norm `norm` (a scalar tensor) down to `maxNorm`, at most 1:
 * min(1, maxNorm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
 */
export const clipScale = (norm: Tensor, maxNorm: number): Tensor => minimum(div(maxNorm, add(norm, 1e-6)), 1);
