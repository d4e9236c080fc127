import type { Tensor } from './graph.ts';
import { randomBits } from './primitives/creation.ts';
import {
  abs,
  add,
  cast,
  exp,
  log,
  minimum,
  mul,
  neg,
  reciprocal,
  shiftRight,
} from './primitives/elementwise.ts';
import type { Shape } from './shape.ts';

/**
 * 1 / (1 + exp(-x)), the same from x = -88 on down: an exp that overflows to infinity would make the gradient 0 times
 * infinity.
 */
export const sigmoid = (x: Tensor): Tensor => reciprocal(add(exp(minimum(neg(x), 88)), 1));

/** x sigmoid(x) (Elfwing et al., 2017). */
export const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));

/** log(1 + exp(x)), without overflow. Half x and half |x|, and not their maximum with 0: its gradient at 0 is 1/2. */
export const softplus = (x: Tensor): Tensor => add(mul(add(x, abs(x)), 0.5), log(add(exp(neg(abs(x))), 1)));

/** Uniform numbers in [0, 1), multiples of 2^-24, from {@link randomBits}. */
export const uniform = (seed: Tensor, stream: number, shape: Shape): Tensor =>
  mul(cast(shiftRight(randomBits(seed, stream, shape), 8), 'f32'), 2 ** -24);
