/**
 * 16-bit floats on the host. Widening to f32 is exact; narrowing rounds to nearest, ties to even, as PyTorch does.
 */

/** The values of 16-bit patterns. */
export function widenHalves(dtype: 'f16' | 'bf16', halves: Uint16Array): Float32Array<ArrayBuffer> {
  const toBits = dtype === 'f16' ? f16Bits : (half: number): number => half << 16;
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = toBits(halves[i]!);
  return new Float32Array(bits.buffer);
}

/** The 16-bit patterns nearest to values. */
export function narrowToHalves(dtype: 'f16' | 'bf16', values: Float32Array): Uint16Array<ArrayBuffer> {
  const toHalf = dtype === 'f16' ? bitsToF16 : bitsToBf16;
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = toHalf(bits[i]!);
  return halves;
}

/** f16 bits to f32 bits. */
function f16Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  let fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal f16 is a normal f32: shift until the leading one is in front of the fraction.
  let shift = 0;
  while ((fraction & 0x400) === 0) {
    fraction <<= 1;
    shift++;
  }
  return sign | ((113 - shift) << 23) | ((fraction & 0x3ff) << 13);
}

/** f32 bits to f16 bits. */
function bitsToF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 and above round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const odd = (magnitude >> 13) & 1;
    return sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13);
  }
  // Up to 2^-25 everything rounds to zero, also the tie.
  if (magnitude <= 0x33000000) return sign;
  const shift = 126 - (magnitude >> 23);
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const half = fraction >> shift;
  const rest = fraction & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return sign | (half + (rest > tie || (rest === tie && (half & 1) === 1) ? 1 : 0));
}

/** f32 bits to bf16 bits. */
function bitsToBf16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
