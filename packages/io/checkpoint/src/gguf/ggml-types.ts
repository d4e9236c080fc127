/**
 * The element types of ggml: their number in a file, elements in a block and bytes of a block.
 *
 * Source: `ggml_type` in ggml.h and `GGML_QUANT_SIZES` of the Python package gguf.
 */
import type { Dtype } from '../dtypes.ts';

const QK_K = 256;

/** Types that safetensors has, too, under the same names: plain numbers. */
const PLAIN = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  BF16: [30, 1, 2],
} as const satisfies Partial<Record<Dtype, readonly [number, number, number]>>;

/** Blocks of few bits an element with scales of their own; a row holds a whole number of blocks. */
const BLOCKS = {
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 40],
  Q2_K: [10, QK_K, 84],
  Q3_K: [11, QK_K, 110],
  Q4_K: [12, QK_K, 144],
  Q5_K: [13, QK_K, 176],
  Q6_K: [14, QK_K, 210],
  Q8_K: [15, QK_K, 292],
  IQ2_XXS: [16, QK_K, 66],
  IQ2_XS: [17, QK_K, 74],
  IQ3_XXS: [18, QK_K, 98],
  IQ1_S: [19, QK_K, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, QK_K, 110],
  IQ2_S: [22, QK_K, 82],
  IQ4_XS: [23, QK_K, 136],
  IQ1_M: [29, QK_K, 56],
  TQ1_0: [34, QK_K, 54],
  TQ2_0: [35, QK_K, 66],
  MXFP4: [39, 32, 17],
  NVFP4: [40, 64, 36],
  Q1_0: [41, 128, 18],
} as const;

/** A dtype of quantized blocks, by its name in ggml. */
export type BlockDtype = keyof typeof BLOCKS;

/** A dtype of GGUF. */
export type GgmlDtype = keyof typeof PLAIN | BlockDtype;

/** What a dtype's data is cut into. */
export interface BlockSize {
  readonly elements: number;
  readonly bytes: number;
}

const SIZES: ReadonlyMap<string, BlockSize> = new Map(
  Object.entries({ ...PLAIN, ...BLOCKS }).map(([name, [, elements, bytes]]) => [name, { elements, bytes }]),
);

const BY_NUMBER: ReadonlyMap<number, GgmlDtype> = new Map(
  Object.entries({ ...PLAIN, ...BLOCKS }).map(([name, [number]]) => [number, name as GgmlDtype]),
);

/** The type of a number in a file; undefined where ggml has none. */
export function ggmlDtype(number: number): GgmlDtype | undefined {
  return BY_NUMBER.get(number);
}

/** Elements and bytes of one block of a dtype; of plain numbers, one element. */
export function blockSize(dtype: GgmlDtype): BlockSize {
  return SIZES.get(dtype)!;
}

export function isBlockDtype(dtype: string): dtype is BlockDtype {
  return Object.hasOwn(BLOCKS, dtype);
}
