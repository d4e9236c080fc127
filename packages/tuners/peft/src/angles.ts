import { add, cast, floor, mul, sub, type Tensor } from '@graftjs/tensor';

/**
 * 2π a b / period in [-π, π], for whole numbers a and b (i32, from 0 on, below `period`): the angles of a discrete
 * Fourier transform. The product may exceed 32 bits: it wraps, and so does what is taken off it, so that the rest is
 * exact wherever the number of whole turns is; one turn more or less changes no sine.
 */
export function angles(a: Tensor, b: Tensor, period: number): Tensor {
  const turns = floor(add(mul(cast(a, 'f32'), mul(cast(b, 'f32'), 1 / period)), 0.5));
  const rest = sub(mul(a, b), mul(cast(turns, 'i32'), period));
  return mul(cast(rest, 'f32'), (2 * Math.PI) / period);
}
