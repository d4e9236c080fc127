import type { DType } from '@graftjs/tensor';

/**
 * 16-bit floats in memory. Kernels compute in f32: values are widened as they are loaded and rounded as they are
 * stored. A binding of 16-bit values is one of 32-bit words, two values each, so that no feature of the device is
 * needed (WGSL has no bf16, and f16 is optional).
 */
export type HalfDType = 'f16' | 'bf16';

export const isHalf = (dtype: DType): dtype is HalfDType => dtype === 'f16' || dtype === 'bf16';

/** The element of a binding that is read one value or four values at a time. */
export const halfStorage = (width: 1 | 4): string => (width === 4 ? 'vec2<u32>' : 'u32');

/** The element of a binding of any dtype that is read one value at a time. */
export const bindingElement = (dtype: DType): string =>
  isHalf(dtype) ? halfStorage(1) : dtype === 'bool' ? 'u32' : dtype;

/** Value `index` of a binding of words. */
export const loadHalf = (dtype: HalfDType, binding: string, index: string): string =>
  `graft_${dtype}_at(${binding}[(${index}) >> 1u], ${index})`;

/** Four values of two words. */
export const loadHalves = (dtype: HalfDType, words: string): string => `graft_${dtype}_four(${words})`;

/** Two words of four values. */
export const storeHalves = (dtype: HalfDType, values: string): string => `graft_${dtype}_words(${values})`;

/** A value rounded to what memory would hold. */
export const roundToHalf = (dtype: HalfDType, value: string, width: 1 | 4): string =>
  width === 4
    ? loadHalves(dtype, storeHalves(dtype, value))
    : `${loadHalves(dtype, storeHalves(dtype, `vec4<f32>(${value})`))}.x`;

/**
 * The functions above. Rounding is to nearest, ties to even, too large becomes infinite: written out in integers,
 * because WGSL's pack2x16float leaves open how it rounds and what it makes of infinities.
 */
export const halfFunctions = (dtype: HalfDType): string => (dtype === 'f16' ? f16Functions : bf16Functions);

const words = (dtype: HalfDType): string => `
fn graft_${dtype}_words(values: vec4<f32>) -> vec2<u32> {
  let h = graft_${dtype}_bits(bitcast<vec4<u32>>(values));
  return vec2<u32>(h.x | (h.y << 16u), h.z | (h.w << 16u));
}
`;

const f16Functions = `
fn graft_f16_at(word: u32, index: u32) -> f32 { return unpack2x16float(word >> (16u * (index & 1u))).x; }
fn graft_f16_four(words: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
fn graft_f16_bits(bits: vec4<u32>) -> vec4<u32> {
  let magnitude = bits & vec4(0x7fffffffu);
  let normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> vec4(13u)) & vec4(1u))) >> vec4(13u);
  // adding 1/2 puts a subnormal's bits at the end of the fraction, rounded
  let small = bitcast<vec4<u32>>(bitcast<vec4<f32>>(min(magnitude, vec4(0x38800000u))) + 0.5) - 0x3f000000u;
  var half = select(normal, small, magnitude < vec4(0x38800000u));
  half = select(half, vec4(0x7c00u), magnitude >= vec4(0x47800000u));
  half = select(half, vec4(0x7e00u), magnitude > vec4(0x7f800000u));
  return half | ((bits >> vec4(16u)) & vec4(0x8000u));
}
${words('f16')}`;

const bf16Functions = `
fn graft_bf16_at(word: u32, index: u32) -> f32 {
  return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (index & 1u) == 1u));
}
fn graft_bf16_four(words: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
fn graft_bf16_bits(bits: vec4<u32>) -> vec4<u32> {
  let rounded = (bits + 0x7fffu + ((bits >> vec4(16u)) & vec4(1u))) >> vec4(16u);
  return select(rounded, vec4(0x7fc0u), (bits & vec4(0x7fffffffu)) > vec4(0x7f800000u));
}
${words('bf16')}`;
