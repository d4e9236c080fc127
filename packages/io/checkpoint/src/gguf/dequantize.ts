/**
 * Blocks of ggml to float32, as `dequantize_row_*` of ggml-quants.c defines them. Products of a half-precision scale
 * and the few bits of an element are exact, so each element is rounded once and equals, bit for bit, what the C code
 * and the Python package gguf give.
 */
import { widenHalves } from '@graftjs/tensor';
import { type BlockDtype, blockSize } from './ggml-types.ts';

type Dequantize = (bytes: Uint8Array, out: Float32Array, half: Float32Array) => void;

/** The value of each of the 65,536 half-precision numbers. */
let halves: Float32Array | undefined;
const halfTable = (): Float32Array => {
  halves ??= widenHalves(
    'f16',
    Uint16Array.from({ length: 65536 }, (_, bits) => bits),
  );
  return halves;
};

/** w = d (q - 8): d, 16 bytes with elements i and i + 16. */
const q4_0: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 18, o += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i]!;
      out[o + i] = d * ((q & 15) - 8);
      out[o + 16 + i] = d * ((q >> 4) - 8);
    }
  }
};

/** w = d q + m: d, m, 16 bytes as in Q4_0. */
const q4_1: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 20, o += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i]!;
      out[o + i] = d * (q & 15) + m;
      out[o + 16 + i] = d * (q >> 4) + m;
    }
  }
};

/** w = d (q - 16): d, fifth bits as u32, 16 bytes as in Q4_0. */
const q5_0: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 22, o += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const high = u32(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 6 + i]!;
      out[o + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
      out[o + 16 + i] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
    }
  }
};

/** w = d q + m: d, m, fifth bits as u32, 16 bytes as in Q4_0. */
const q5_1: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 24, o += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    const high = u32(bytes, at + 4);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 8 + i]!;
      out[o + i] = d * ((q & 15) | (((high >>> i) & 1) << 4)) + m;
      out[o + 16 + i] = d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
    }
  }
};

/** w = d q: d, 32 signed bytes. */
const q8_0: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 34, o += 32) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 32; i++) out[o + i] = d * ((bytes[at + 2 + i]! << 24) >> 24);
  }
};

/** w = d s q - dmin m, for 16 groups of 16: bytes of 4-bit s and m, 64 bytes of four elements each, d, dmin. */
const q2_K: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 84, o += 256) {
    const d = half[bytes[at + 80]! | (bytes[at + 81]! << 8)]!;
    const dmin = half[bytes[at + 82]! | (bytes[at + 83]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      const scale = bytes[at + group]!;
      const factor = d * (scale & 15);
      const offset = dmin * (scale >> 4);
      const from = at + 16 + (group >> 3) * 32 + (group & 1) * 16;
      const shift = group & 6;
      const to = o + group * 16;
      for (let i = 0; i < 16; i++) out[to + i] = factor * ((bytes[from + i]! >> shift) & 3) - offset;
    }
  }
};

/** w = d s q, for 16 groups of 16: 32 bytes of inverted high bits, 64 of two low bits, 12 of 6-bit s, d. */
const q3_K: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 110, o += 256) {
    const d = half[bytes[at + 108]! | (bytes[at + 109]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      const low = (bytes[at + 96 + (group & 7)]! >> (group < 8 ? 0 : 4)) & 15;
      const high = (bytes[at + 104 + (group & 3)]! >> ((group >> 2) * 2)) & 3;
      const factor = d * ((low | (high << 4)) - 32);
      const half16 = (group & 1) * 16;
      const from = at + 32 + (group >> 3) * 32 + half16;
      const shift = group & 6;
      const bit = group >> 1;
      const to = o + group * 16;
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[from + i]! >> shift) & 3) | (((bytes[at + half16 + i]! >> bit) & 1) << 2);
        out[to + i] = factor * (q - 4);
      }
    }
  }
};

/** The 6-bit scale and minimum of group `j` of 8, from 12 bytes at `at`: scale in the low byte, minimum above. */
const scaleAndMin = (bytes: Uint8Array, at: number, j: number): number => {
  if (j < 4) return (bytes[at + j]! & 63) | ((bytes[at + j + 4]! & 63) << 8);
  const low = bytes[at + j + 4]!;
  return (low & 15) | ((bytes[at + j - 4]! >> 6) << 4) | (((low >> 4) | ((bytes[at + j]! >> 6) << 4)) << 8);
};

/** w = d s q - dmin m, for 8 groups of 32: d, dmin, 12 bytes of s and m, 128 bytes of two elements each. */
const q4_K: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 144, o += 256) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const dmin = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let group = 0; group < 8; group++) {
      const packed = scaleAndMin(bytes, at + 4, group);
      const factor = d * (packed & 255);
      const offset = dmin * (packed >> 8);
      const from = at + 16 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      const to = o + group * 32;
      for (let i = 0; i < 32; i++) out[to + i] = factor * ((bytes[from + i]! >> shift) & 15) - offset;
    }
  }
};

/** As Q4_K, with 32 bytes of fifth bits before the 128. */
const q5_K: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 176, o += 256) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const dmin = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let group = 0; group < 8; group++) {
      const packed = scaleAndMin(bytes, at + 4, group);
      const factor = d * (packed & 255);
      const offset = dmin * (packed >> 8);
      const from = at + 48 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      const to = o + group * 32;
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[from + i]! >> shift) & 15) | (((bytes[at + 16 + i]! >> group) & 1) << 4);
        out[to + i] = factor * q - offset;
      }
    }
  }
};

/** w = d s (q - 32), for 16 groups of 16: 128 bytes of four low bits, 64 of two high bits, 16 of s, d. */
const q6_K: Dequantize = (bytes, out, half) => {
  for (let at = 0, o = 0; o < out.length; at += 210, o += 256) {
    const d = half[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      const factor = d * ((bytes[at + 192 + group]! << 24) >> 24);
      // Four runs of 32 share their bytes: low bits in two runs of 64 bytes, high bits in one of 32.
      const run = (group >> 1) & 3;
      const part = (group & 1) * 16;
      const low = at + (group >> 3) * 64 + (run & 1) * 32 + part;
      const high = at + 128 + (group >> 3) * 32 + part;
      const lowShift = (run >> 1) * 4;
      const highShift = run * 2;
      const to = o + group * 16;
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[low + i]! >> lowShift) & 15) | (((bytes[high + i]! >> highShift) & 3) << 4);
        out[to + i] = factor * (q - 32);
      }
    }
  }
};

const u32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

const FORMS: Partial<Record<BlockDtype, Dequantize>> = {
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q8_0: q8_0,
  Q2_K: q2_K,
  Q3_K: q3_K,
  Q4_K: q4_K,
  Q5_K: q5_K,
  Q6_K: q6_K,
};

/** The block dtypes that `dequantize` reads. */
export const DEQUANTIZED = Object.keys(FORMS) as readonly BlockDtype[];

/** The numbers of whole blocks; undefined for a dtype outside `DEQUANTIZED`. */
export function dequantize(dtype: BlockDtype, bytes: Uint8Array): Float32Array<ArrayBuffer> | undefined {
  const form = FORMS[dtype];
  if (!form) return undefined;
  const block = blockSize(dtype);
  const out = new Float32Array(Math.floor(bytes.length / block.bytes) * block.elements);
  form(bytes, out, halfTable());
  return out;
}
