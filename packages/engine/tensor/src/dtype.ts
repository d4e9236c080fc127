/**
 * Element types. `f32`, `i32` and `u32` compute; `f16` and `bf16` store (and `f16` computes where the device
 * has it); `bool` is what comparisons give and is stored as a 32-bit 0 or 1.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'bool';

/** Host arrays that hold the elements of each dtype (`f16` and `bf16` as their 16-bit patterns). */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>;

const bytes: Record<DType, number> = { f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4, bool: 4 };

/** Bytes that one element takes in memory. */
export const byteSize = (dtype: DType): number => bytes[dtype];

export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

/** A zeroed host array for `length` elements of `dtype`. */
export function hostArray(dtype: DType, length: number): HostArray {
  switch (dtype) {
    case 'f32':
      return new Float32Array(length);
    case 'i32':
      return new Int32Array(length);
    case 'u32':
    case 'bool':
      return new Uint32Array(length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(length);
    default:
      return dtype satisfies never;
  }
}

/** A view of raw bytes as the host array of `dtype`. */
export function hostView(dtype: DType, buffer: ArrayBuffer, byteOffset = 0, length?: number): HostArray {
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, byteOffset, length);
    case 'i32':
      return new Int32Array(buffer, byteOffset, length);
    case 'u32':
    case 'bool':
      return new Uint32Array(buffer, byteOffset, length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(buffer, byteOffset, length);
    default:
      return dtype satisfies never;
  }
}

/** The dtype that a host array holds when none is named. */
export function dtypeOf(data: HostArray): DType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  return 'f16';
}
