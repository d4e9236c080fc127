/**
 * Forms in which weights lie in memory in 2 to 8 bits. All are: a code of few bits for each element, a factor for each
 * block of neighbouring elements (row-major), and in some a term that is added to all of a block.
 *
 * Sources: bitsandbytes (`functional.py`, `backends/default/ops.py`) for nf4, fp4 and int8; ggml-quants.c for the others.
 */
export interface QuantizedForm {
  /** Bits of a code, low ones first, each plane apart in memory. */
  readonly planes: readonly number[];
  /** What a code means: one of a table's numbers, an integer less `zero`, or a signed byte. */
  readonly code:
    | { readonly kind: 'table'; readonly table: readonly number[] }
    | { readonly kind: 'unsigned'; readonly zero: number }
    | { readonly kind: 'signed'; readonly divisor: number };
  /** Elements that share a factor; undefined: chosen for each weight (a row of int8). */
  readonly block: number | undefined;
  /** Blocks whose factors are small integers (bytes) times a number that they share. */
  readonly group?: { readonly blocks: number; readonly signed: boolean };
  /** What is added to a block: nothing, a number of its own (+m), or an integer times one that its group shares (-m). */
  readonly minimum?: boolean;
}

/** The 16 numbers of NormalFloat4 (Dettmers et al., QLoRA, 2023). */
export const nf4Table: readonly number[] = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

const fp4Sizes = [0, 0.0625, 8, 12, 4, 6, 2, 3];

/** Of bitsandbytes' FP4, sign bit first: 0, 1/192, 2/3, 1, 1/3, 1/2, 1/6, 1/4 and their negatives. */
export const fp4Table: readonly number[] = [1, -1].flatMap((sign) =>
  fp4Sizes.map((size) => (size === 0 ? 0 : Math.fround((sign * size) / 12))),
);

export const quantizedForms = {
  nf4: { planes: [4], code: { kind: 'table', table: nf4Table }, block: 64 },
  fp4: { planes: [4], code: { kind: 'table', table: fp4Table }, block: 64 },
  int8: { planes: [8], code: { kind: 'signed', divisor: 127 }, block: undefined },
  Q4_0: { planes: [4], code: { kind: 'unsigned', zero: 8 }, block: 32 },
  Q4_1: { planes: [4], code: { kind: 'unsigned', zero: 0 }, block: 32, minimum: true },
  Q5_0: { planes: [4, 1], code: { kind: 'unsigned', zero: 16 }, block: 32 },
  Q5_1: { planes: [4, 1], code: { kind: 'unsigned', zero: 0 }, block: 32, minimum: true },
  Q8_0: { planes: [8], code: { kind: 'signed', divisor: 1 }, block: 32 },
  Q2_K: {
    planes: [2],
    code: { kind: 'unsigned', zero: 0 },
    block: 16,
    group: { blocks: 16, signed: false },
    minimum: true,
  },
  Q3_K: {
    planes: [2, 1],
    code: { kind: 'unsigned', zero: 4 },
    block: 16,
    group: { blocks: 16, signed: true },
  },
  Q4_K: {
    planes: [4],
    code: { kind: 'unsigned', zero: 0 },
    block: 32,
    group: { blocks: 8, signed: false },
    minimum: true,
  },
  Q5_K: {
    planes: [4, 1],
    code: { kind: 'unsigned', zero: 0 },
    block: 32,
    group: { blocks: 8, signed: false },
    minimum: true,
  },
  Q6_K: {
    planes: [4, 2],
    code: { kind: 'unsigned', zero: 32 },
    block: 16,
    group: { blocks: 16, signed: true },
  },
} as const satisfies Record<string, QuantizedForm>;

export type QuantizedFormat = keyof typeof quantizedForms;

/** A form by its name, as the general type. */
export const formOf = (format: QuantizedFormat): QuantizedForm => quantizedForms[format];

/** Where the parts of a quantized weight lie: words of `codes`, then elements of `scales`. */
export interface QuantizedLayout {
  readonly size: number;
  /** Elements that share a factor. */
  readonly block: number;
  readonly blocks: number;
  /** First word of each plane, then of the bytes (factors of blocks, or codes of nested factors). */
  readonly planeStarts: readonly number[];
  readonly bytesStart: number;
  /** Bytes in all, 0 where there are none. */
  readonly bytes: number;
  readonly codeWords: number;
  readonly scaleCount: number;
}

/** Blocks of factors that share a number, where the factors themselves are 8-bit codes (double quantization). */
export const nestedBlock = 256;

/**
 * @param block elements that share a factor; for int8 the length of a row
 * @param nested whether factors are quantized, too
 */
export function quantizedLayout(
  format: QuantizedFormat,
  size: number,
  block: number,
  nested = false,
): QuantizedLayout {
  const form = formOf(format);
  const blocks = Math.ceil(size / block);
  const per = form.minimum ? 2 : 1;
  const planeStarts: number[] = [];
  let words = 0;
  for (const bits of form.planes) {
    planeStarts.push(words);
    words += Math.ceil((size * bits) / 32);
  }
  const bytes = nested ? blocks : form.group ? blocks * per : 0;
  const scaleCount = nested
    ? 1 + Math.ceil(blocks / nestedBlock)
    : form.group
      ? Math.ceil(blocks / form.group.blocks) * per
      : blocks * per;
  return {
    ...{ size, block, blocks, planeStarts, bytesStart: words, bytes },
    codeWords: words + Math.ceil(bytes / 4),
    scaleCount,
  };
}
