/**
 * The dtypes of safetensors in the order of their alignment, the order in which the Rust writer lays out
 * tensors (last first), with their size in bits.
 *
 * Source: `Dtype` in safetensors/src/tensor.rs.
 */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype by its name in safetensors. */
export type Dtype = keyof typeof BITS;

/** Every dtype of safetensors, in order of alignment. */
export const DTYPES: readonly Dtype[] = Object.keys(BITS) as Dtype[];

const RANK: ReadonlyMap<string, number> = new Map(DTYPES.map((dtype, rank) => [dtype, rank]));

export function isDtype(name: string): name is Dtype {
  return RANK.has(name);
}

/** The size of one element, in bits (sub-byte dtypes have fewer than 8). */
export function dtypeBits(dtype: Dtype): number {
  return BITS[dtype];
}

/** The place of a dtype in the order of alignment. */
export function dtypeRank(dtype: Dtype): number {
  return RANK.get(dtype)!;
}
