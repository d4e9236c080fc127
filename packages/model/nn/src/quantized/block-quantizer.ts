import {
  fp4Table,
  nestedBlock,
  nf4Table,
  type QuantizedFormat,
  type QuantizedLayout,
  quantizedLayout,
} from '@graftjs/ops';
import { dynamicMap } from './dynamic-map.ts';
import type { QuantizedData } from './quantized-weight.ts';

/** Formats that a weight is quantized to here. Those of GGUF come with their files. */
export type QuantizerFormat = Extract<QuantizedFormat, 'nf4' | 'fp4' | 'int8'>;

export interface QuantizerOptions {
  readonly format: QuantizerFormat;
  readonly shape: readonly number[];
  /** nf4 and fp4: elements that share a factor. Default 64. */
  readonly block?: number;
  /** nf4 and fp4: store the factors in 8 bits, too. Default true. */
  readonly doubleQuantization?: boolean;
}

/** No factor is smaller: bitsandbytes' guard against a division by zero. */
const smallest = 1e-38;

/**
 * Quantizes a weight piece by piece, row-major, as bitsandbytes 0.50 does, to the byte:
 * - nf4, fp4: each element over its block's largest |element| becomes the nearest of 16 numbers (`quantize_4bit`).
 *   With double quantization the factors less their mean become bytes of the dynamic 8-bit type, with a factor for 256
 *   (`quantize_blockwise`, each the nearest; bitsandbytes' own CPU library takes the next nearest for one in 1,000).
 * - int8: each element becomes the nearest of 127 steps to its row's largest (`int8_vectorwise_quant`), the weights'
 *   part of LLM.int8. Inputs are not quantized, so that their outlier columns need no product of their own.
 */
export class BlockQuantizer {
  readonly #options: QuantizerOptions;
  readonly #layout: QuantizedLayout;
  readonly #factors: Float32Array<ArrayBuffer>;
  readonly #codes: Uint32Array<ArrayBuffer>;
  readonly #bytes: Uint8Array;
  readonly #nearest: (x: number) => number;
  #at = 0;

  constructor(options: QuantizerOptions) {
    const { format, shape } = options;
    const size = shape.reduce((n, d) => n * d, 1);
    const block = format === 'int8' ? shape.at(-1)! : (options.block ?? 64);
    const nested = format !== 'int8' && (options.doubleQuantization ?? true);
    this.#options = options;
    this.#layout = quantizedLayout(format, size, block, nested);
    this.#factors = new Float32Array(this.#layout.blocks);
    this.#codes = new Uint32Array(this.#layout.codeWords);
    this.#bytes = new Uint8Array(this.#codes.buffer);
    this.#nearest = nearestOf(format === 'fp4' ? fp4Table : nf4Table);
  }

  /** Elements that pieces but the last must be a multiple of. */
  get unit(): number {
    return this.#layout.block % 2 === 0 ? this.#layout.block : 2 * this.#layout.block;
  }

  /** The next elements. */
  push(values: Float32Array): void {
    const { block } = this.#layout;
    for (let start = 0; start < values.length; start += block)
      this.#block(values.subarray(start, Math.min(start + block, values.length)));
  }

  finish(): QuantizedData {
    const { format, shape, doubleQuantization = true } = this.#options;
    const { block, bytesStart } = this.#layout;
    const common = { format, shape, block, codes: this.#codes };
    if (format === 'int8' || !doubleQuantization) return { ...common, scales: this.#factors };
    const table = dynamicMap();
    const nested = nestedFactors(this.#factors, table);
    this.#bytes.set(nested.codes, 4 * bytesStart);
    return { ...common, scales: nested.scales, nestedTable: table };
  }

  #block(values: Float32Array): void {
    const { block, size } = this.#layout;
    const largest = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    const index = this.#at / block;
    const start = this.#at;
    this.#at += values.length;
    if (this.#options.format === 'int8') {
      this.#factors[index] = largest;
      // torch computes 127 / x so
      const factor = Math.fround(Math.fround(1 / largest) * 127);
      for (let i = 0; i < values.length; i++)
        this.#bytes[start + i] = largest === 0 ? 0 : roundEven(Math.fround(values[i]! * factor));
      return;
    }
    // the last block, where it is shorter, is divided and not multiplied
    const isPart = this.#at === size && size % block !== 0;
    const divisor = Math.max(largest, Math.fround(smallest));
    this.#factors[index] = isPart ? divisor : largest;
    const inverse = Math.fround(1 / divisor);
    for (let i = 0; i < values.length; i++) {
      const scaled = Math.fround(isPart ? values[i]! / divisor : values[i]! * inverse);
      const code = this.#nearest(Math.min(1, Math.max(-1, scaled)));
      const at = start + i;
      this.#bytes[at >> 1]! |= at % 2 === 0 ? code << 4 : code;
    }
    // bitsandbytes fills the last byte with the code of 0
    if (this.#at === size && size % 2 === 1) this.#bytes[size >> 1]! |= this.#nearest(0);
  }
}

/** Nearest even integer at ties, as `torch.round`. */
function roundEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** The index of the entry nearest to a number, by the midpoints between neighbours in float32; the lower one at a tie. */
function nearestOf(table: ArrayLike<number>): (x: number) => number {
  const order = Array.from(table, (_, i) => i).sort((a, b) => table[a]! - table[b]!);
  const midpoints = Float32Array.from(order.slice(1), (entry, i) =>
    Math.fround(Math.fround(table[order[i]!]! + table[entry]!) / 2),
  );
  return (x) => {
    let low = 0;
    let high = midpoints.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (midpoints[middle]! < x) low = middle + 1;
      else high = middle;
    }
    return order[low]!;
  };
}

/** Factors as bytes: scales are their mean, then the factor of each 256. */
function nestedFactors(factors: Float32Array, table: Float32Array) {
  const mean = Math.fround(factors.reduce((sum, v) => sum + v, 0) / factors.length);
  const blocks = Math.ceil(factors.length / nestedBlock);
  const scales = new Float32Array(1 + blocks);
  scales[0] = mean;
  const codes = new Uint8Array(factors.length);
  const nearest = nearestOf(table);
  for (let block = 0; block < blocks; block++) {
    const part = factors
      .subarray(block * nestedBlock, (block + 1) * nestedBlock)
      .map((v) => Math.fround(v - mean));
    const largest = part.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    scales[1 + block] = largest;
    const inverse = Math.fround(1 / Math.max(largest, Math.fround(smallest)));
    part.forEach((v, i) => {
      codes[block * nestedBlock + i] = nearest(Math.fround(v * inverse));
    });
  }
  return { scales, codes };
}
