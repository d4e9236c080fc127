import type { DType, HostArray } from '../dtype.ts';
import { applyOp, type Op, type Tensor, Variable } from '../graph.ts';
import { normalizeAxis, type Shape } from '../shape.ts';

export const fillOp: Op = {
  name: 'fill',
  infer: (_, attrs) => [{ shape: attrs.shape as Shape, dtype: attrs.dtype as DType }],
};

export const iotaOp: Op = {
  name: 'iota',
  infer: (_, attrs) => [{ shape: attrs.shape as Shape, dtype: attrs.dtype as DType }],
};

/**
 * 32 random bits an element: Philox-4x32-10 (Salmon et al., 2011) of key `seed` and counter (element / 4,
 * stream). The same seed, stream and element give the same bits on every device.
 */
export const randomBitsOp: Op = {
  name: 'randomBits',
  infer: (_, attrs) => [{ shape: attrs.shape as Shape, dtype: 'u32' }],
};

/** A tensor that holds `value` everywhere. Not finite values are written as they are. */
export const fill = (value: number, shape: Shape, dtype: DType = 'f32'): Tensor =>
  applyOp(fillOp, [], { value, shape: [...shape], dtype })[0]!;

export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => fill(0, shape, dtype);
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => fill(1, shape, dtype);

/** Each element is its own index along `axis`. */
export const iota = (shape: Shape, axis = -1, dtype: DType = 'i32'): Tensor =>
  applyOp(iotaOp, [], { shape: [...shape], axis: normalizeAxis('iota', axis, shape), dtype })[0]!;

/** Host data as a tensor; it is uploaded once, when a program first needs it. */
export const constant = (data: HostArray, shape: Shape, dtype?: DType): Tensor =>
  new Variable(shape, data, { name: 'constant', ...(dtype ? { dtype } : {}) });

/** Random u32 bits. `seed` is u32 [2] (a key, data that may change every step); `stream` tells draws of one seed apart. */
export const randomBits = (seed: Tensor, stream: number, shape: Shape): Tensor =>
  applyOp(randomBitsOp, [seed], { stream, shape: [...shape] })[0]!;
