import type { Tensor } from './graph.ts';
import { randomBits } from './primitives/creation.ts';
import {
  abs,
  add,
  cast,
  exp,
  log,
  maximum,
  mul,
  neg,
  reciprocal,
  shiftRight,
} from './primitives/elementwise.ts';
import type { Shape } from './shape.ts';

/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: Tensor): Tensor => reciprocal(add(exp(neg(x)), 1));

/** x sigmoid(x) (Elfwing et al., 2017). */
export const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));

/** log(1 + exp(x)), without overflow. */
export const softplus = (x: Tensor): Tensor => add(maximum(x, 0), log(add(exp(neg(abs(x))), 1)));

/** Uniform numbers in [0, 1), multiples of 2^-24, from {@link randomBits}. */
export const uniform = (seed: Tensor, stream: number, shape: Shape): Tensor =>
  mul(cast(shiftRight(randomBits(seed, stream, shape), 8), 'f32'), 2 ** -24);
