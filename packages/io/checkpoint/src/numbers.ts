/**
 * Numbers of a weights file to and from float32. Widening (f16, bf16, f8 to f32) is exact; narrowing
 * rounds to nearest, ties to even, as PyTorch does. Bytes are little-endian, as the format says and as
 * every machine with WebGPU is.
 */
import { narrowToHalves, widenHalves } from '@graftjs/tensor';
import type { Dtype } from './dtypes.ts';

/** The dtypes of safetensors that `toFloat32` reads. */
export const NUMERIC_DTYPES: readonly Dtype[] = [
  'F32',
  'F16',
  'BF16',
  'F64',
  'F8_E4M3',
  'F8_E5M2',
  'I8',
  'U8',
  'I16',
  'U16',
  'I32',
  'U32',
  'I64',
  'U64',
  'BOOL',
];

/**
 * The numbers in `bytes` as float32; undefined for a dtype outside `NUMERIC_DTYPES`. F32, F16, BF16, F8, 8- and
 * 16-bit integers and BOOL are exact; wider ones round to the nearest float32. F32 shares the memory of `bytes`
 * where that is aligned.
 */
export function toFloat32(dtype: Dtype, bytes: Uint8Array): Float32Array | undefined {
  switch (dtype) {
    case 'F32':
      return new Float32Array(...aligned(bytes, 4));
    case 'F16':
      return widenHalves('f16', new Uint16Array(...aligned(bytes, 2)));
    case 'BF16':
      return widenHalves('bf16', new Uint16Array(...aligned(bytes, 2)));
    case 'F8_E4M3':
      return lookUp(bytes, table(f8e4m3));
    case 'F8_E5M2':
      // E5M2 is the upper byte of an f16.
      return lookUp(
        bytes,
        widenHalves(
          'f16',
          Uint16Array.from({ length: 256 }, (_, byte) => byte << 8),
        ),
      );
    case 'F64':
      return Float32Array.from(new Float64Array(...aligned(bytes, 8)));
    case 'I8':
      return Float32Array.from(new Int8Array(...aligned(bytes, 1)));
    case 'U8':
      return Float32Array.from(bytes);
    case 'BOOL':
      return Float32Array.from(bytes, (byte) => (byte === 0 ? 0 : 1));
    case 'I16':
      return Float32Array.from(new Int16Array(...aligned(bytes, 2)));
    case 'U16':
      return Float32Array.from(new Uint16Array(...aligned(bytes, 2)));
    case 'I32':
      return Float32Array.from(new Int32Array(...aligned(bytes, 4)));
    case 'U32':
      return Float32Array.from(new Uint32Array(...aligned(bytes, 4)));
    case 'I64':
      return fromBigInts(new BigInt64Array(...aligned(bytes, 8)));
    case 'U64':
      return fromBigInts(new BigUint64Array(...aligned(bytes, 8)));
    case 'F4':
    case 'F6_E2M3':
    case 'F6_E3M2':
    case 'F8_E8M0':
    case 'F8_E4M3FNUZ':
    case 'F8_E5M2FNUZ':
    case 'C64':
      return undefined;
    default:
      return dtype satisfies never;
  }
}

/** The bytes of `values` in a narrower float dtype, rounded to nearest even; F32 shares memory. */
export function fromFloat32(dtype: 'F32' | 'F16' | 'BF16', values: Float32Array): Uint8Array {
  switch (dtype) {
    case 'F32':
      return bytesOf(values);
    case 'F16':
      return bytesOf(narrowToHalves('f16', values));
    case 'BF16':
      return bytesOf(narrowToHalves('bf16', values));
    default:
      return dtype satisfies never;
  }
}

/** The memory of a typed array as bytes, shared. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function aligned(bytes: Uint8Array, size: number): [ArrayBufferLike, number, number] {
  const copy = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return [copy.buffer, copy.byteOffset, Math.floor(copy.byteLength / size)];
}

function table(value: (byte: number) => number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, byte) => value(byte));
}

function lookUp(bytes: Uint8Array, values: Float32Array): Float32Array {
  const result = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) result[i] = values[bytes[i]!]!;
  return result;
}

/** OCP E4M3: bias 7, no infinities, S1111111 is NaN. */
function f8e4m3(byte: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >> 3) & 0xf;
  const fraction = byte & 7;
  if (exponent === 0xf && fraction === 7) return Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -9 : sign * (8 + fraction) * 2 ** (exponent - 10);
}

/** By way of the sign and two halves, so that each 64-bit integer is rounded once. */
function fromBigInts(values: BigInt64Array | BigUint64Array): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) result[i] = roundToFloat32(values[i]!);
  return result;
}

/** Rounding to a double first and then to a float can be off by one; sticky bits below prevent it. */
function roundToFloat32(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 1n << 53n) return Number(value);
  const low = magnitude & 0x7ffn;
  const sticky = ((magnitude >> 11n) << 11n) | (low === 0n ? 0n : 1n << 11n);
  return Number(value < 0n ? -sticky : sticky);
}
