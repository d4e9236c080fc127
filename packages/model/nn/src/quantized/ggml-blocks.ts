/**
 * Blocks of ggml as quantized weights: the same codes and factors, bit for bit, but codes in the order of elements and
 * apart from factors, so that kernels read words of one kind. Layouts of blocks: ggml-quants.c (`dequantize_row_*`).
 */
import { type QuantizedFormat, type QuantizedLayout, quantizedForms, quantizedLayout } from '@graftjs/ops';
import type { QuantizedData } from './quantized-weight.ts';

/** Formats of GGUF files that weights keep. */
export type GgmlFormat = Exclude<QuantizedFormat, 'nf4' | 'fp4' | 'int8'>;

export const isGgmlFormat = (dtype: string): dtype is GgmlFormat => Object.hasOwn(unpackers, dtype);

/** Where a block's parts go. */
interface Sink {
  /** The bits of the block's elements. */
  readonly codes: Uint8Array;
  /** Half-precision factor, or minimum, of the block (one of a group of blocks for the K formats). */
  scale(i: number, bits: number): void;
  /** Small integer factor, or minimum, of part of the block. */
  byte(i: number, value: number): void;
}

interface Unpacker {
  /** Elements and bytes of a block. */
  readonly elements: number;
  readonly bytes: number;
  unpack(block: Uint8Array, sink: Sink): void;
}

const u16 = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8);

/** 32 elements: elements i and i + 16 share a byte; where there are fifth bits, they are 4 bytes at `high`. */
const small = (bytes: number, scales: number, high?: number): Unpacker => ({
  elements: 32,
  bytes,
  unpack(b, sink) {
    for (let i = 0; i < scales; i++) sink.scale(i, u16(b, 2 * i));
    const low = bytes - 16;
    const fifth = (i: number): number =>
      high === undefined ? 0 : ((b[high + (i >> 3)]! >> (i & 7)) & 1) << 4;
    for (let i = 0; i < 16; i++) {
      const q = b[low + i]!;
      sink.codes[i] = (q & 15) | fifth(i);
      sink.codes[i + 16] = (q >> 4) | fifth(i + 16);
    }
  },
});

/** Factor (low byte) and minimum of group j of 8, 6 bits each out of 12 bytes. */
function scaleAndMin(b: Uint8Array, at: number, j: number): readonly [number, number] {
  if (j < 4) return [b[at + j]! & 63, b[at + j + 4]! & 63];
  const both = b[at + j + 4]!;
  return [(both & 15) | ((b[at + j - 4]! >> 6) << 4), (both >> 4) | ((b[at + j]! >> 6) << 4)];
}

/** 256 elements in 8 groups of 32 with 6-bit factors and minima; fifth bits are 32 bytes before the others. */
const groupsOf32 = (bytes: number, hasFifth: boolean): Unpacker => ({
  elements: 256,
  bytes,
  unpack(b, sink) {
    sink.scale(0, u16(b, 0));
    sink.scale(1, u16(b, 2));
    for (let group = 0; group < 8; group++) {
      const [scale, min] = scaleAndMin(b, 4, group);
      sink.byte(2 * group, scale);
      sink.byte(2 * group + 1, min);
      const from = (hasFifth ? 48 : 16) + (group >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const fifth = hasFifth ? ((b[16 + i]! >> group) & 1) << 4 : 0;
        sink.codes[group * 32 + i] = ((b[from + i]! >> ((group & 1) * 4)) & 15) | fifth;
      }
    }
  },
});

const unpackers: Readonly<Record<GgmlFormat, Unpacker>> = {
  Q4_0: small(18, 1),
  Q4_1: small(20, 2),
  Q5_0: small(22, 1, 2),
  Q5_1: small(24, 2, 4),
  Q8_0: {
    elements: 32,
    bytes: 34,
    unpack(b, sink) {
      sink.scale(0, u16(b, 0));
      sink.codes.set(b.subarray(2));
    },
  },
  Q2_K: {
    elements: 256,
    bytes: 84,
    unpack(b, sink) {
      sink.scale(0, u16(b, 80));
      sink.scale(1, u16(b, 82));
      for (let group = 0; group < 16; group++) {
        sink.byte(2 * group, b[group]! & 15);
        sink.byte(2 * group + 1, b[group]! >> 4);
        const from = 16 + (group >> 3) * 32 + (group & 1) * 16;
        for (let i = 0; i < 16; i++) sink.codes[group * 16 + i] = (b[from + i]! >> (group & 6)) & 3;
      }
    },
  },
  Q3_K: {
    elements: 256,
    bytes: 110,
    unpack(b, sink) {
      sink.scale(0, u16(b, 108));
      for (let group = 0; group < 16; group++) {
        const low = (b[96 + (group & 7)]! >> (group < 8 ? 0 : 4)) & 15;
        const high = (b[104 + (group & 3)]! >> ((group >> 2) * 2)) & 3;
        sink.byte(group, (low | (high << 4)) - 32);
        const part = (group & 1) * 16;
        const from = 32 + (group >> 3) * 32 + part;
        for (let i = 0; i < 16; i++) {
          const third = ((b[part + i]! >> (group >> 1)) & 1) << 2;
          sink.codes[group * 16 + i] = ((b[from + i]! >> (group & 6)) & 3) | third;
        }
      }
    },
  },
  Q4_K: groupsOf32(144, false),
  Q5_K: groupsOf32(176, true),
  Q6_K: {
    elements: 256,
    bytes: 210,
    unpack(b, sink) {
      sink.scale(0, u16(b, 208));
      for (let group = 0; group < 16; group++) {
        sink.byte(group, b[192 + group]!);
        // four runs of 32 share their bytes: low bits in two runs of 64 bytes, high bits in one of 32
        const run = (group >> 1) & 3;
        const part = (group & 1) * 16;
        const low = (group >> 3) * 64 + (run & 1) * 32 + part;
        const high = 128 + (group >> 3) * 32 + part;
        for (let i = 0; i < 16; i++) {
          sink.codes[group * 16 + i] =
            ((b[low + i]! >> ((run >> 1) * 4)) & 15) | (((b[high + i]! >> (run * 2)) & 3) << 4);
        }
      }
    },
  },
};

/** @throws RangeError where the bytes are not whole blocks of the shape */
export function fromGgmlBlocks(
  format: GgmlFormat,
  shape: readonly number[],
  bytes: Uint8Array,
): QuantizedData {
  const { elements, bytes: blockBytes, unpack } = unpackers[format];
  const size = shape.reduce((n, d) => n * d, 1);
  const count = size / elements;
  if (bytes.length !== count * blockBytes)
    throw new RangeError(
      `${format} [${shape}]: ${bytes.length} bytes are not ${count} blocks of ${blockBytes}`,
    );
  const block: number = quantizedForms[format].block;
  const layout = quantizedLayout(format, size, block);
  const codes = new Uint32Array(layout.codeWords);
  const small = new Uint8Array(codes.buffer, 4 * layout.bytesStart);
  const scales = new Uint16Array(layout.scaleCount);
  const perBlock = { scales: layout.scaleCount / count, bytes: layout.bytes / count };
  let k = 0;
  const sink: Sink = {
    codes: new Uint8Array(elements),
    scale: (i, bits) => {
      scales[k * perBlock.scales + i] = bits;
    },
    byte: (i, value) => {
      small[k * perBlock.bytes + i] = value;
    },
  };
  for (; k < count; k++) {
    unpack(bytes.subarray(k * blockBytes, (k + 1) * blockBytes), sink);
    packBlock(format, layout, sink.codes, k, codes);
  }
  return { format, shape, block, codes, scales };
}

/** Writes the codes of block `k` into the words of the planes that their bits are spread over. */
function packBlock(
  format: GgmlFormat,
  { planeStarts }: QuantizedLayout,
  codes: Uint8Array,
  k: number,
  words: Uint32Array,
): void {
  const planes: readonly number[] = quantizedForms[format].planes;
  let shift = 0;
  for (let p = 0; p < planes.length; p++) {
    const bits = planes[p]!;
    const [perWord, mask] = [32 / bits, 2 ** bits - 1];
    const swapped = bits === 4 ? 1 : 0;
    const wordsOfBlock = codes.length / perWord;
    const start = planeStarts[p]! + k * wordsOfBlock;
    for (let w = 0; w < wordsOfBlock; w++) {
      let word = 0;
      for (let i = 0; i < perWord; i++)
        word |= ((codes[w * perWord + i]! >> shift) & mask) << ((i ^ swapped) * bits);
      words[start + w] = word;
    }
    shift += bits;
  }
}
