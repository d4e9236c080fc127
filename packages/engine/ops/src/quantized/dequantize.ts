import {
  type Attrs,
  add,
  applyOp,
  bitAnd,
  bitOr,
  bitXor,
  broadcastTo,
  cast,
  defineOp,
  div,
  equal,
  fill,
  iota,
  mul,
  narrow,
  type Op,
  pad,
  reshape,
  type Shape,
  ShapeError,
  shiftLeft,
  shiftRight,
  sizeOf,
  sub,
  type Tensor,
  type TensorSpec,
  take,
  where,
} from '@graftjs/tensor';
import {
  formOf,
  nestedBlock,
  type QuantizedFormat,
  type QuantizedLayout,
  quantizedLayout,
} from './formats.ts';
import { dequantizeReader } from './reader.ts';

export interface QuantizedTensors {
  /** u32: planes of codes, then bytes; see {@link quantizedLayout}. */
  readonly codes: Tensor;
  /**
   * f32, f16 or bf16: factors of blocks, or of groups of blocks, each followed by its minimum where the format has
   * them; of nested factors the mean of all, then factors of 256 blocks each.
   */
  readonly scales: Tensor;
  /** f32, f16 or bf16 `[256]`: what the bytes of nested factors mean. */
  readonly nestedTable?: Tensor;
}

export interface DequantizeOptions {
  readonly format: QuantizedFormat;
  readonly shape: Shape;
  /** Elements that share a factor, where it is not the format's own number; of int8 always a row. */
  readonly block?: number;
}

/** Elements of a block of this weight. */
export const blockOf = (format: QuantizedFormat, shape: Shape, block?: number): number =>
  format === 'int8' ? shape.at(-1)! : (block ?? formOf(format).block!);

const layoutOf = (attrs: Attrs, nested: boolean): QuantizedLayout =>
  quantizedLayout(
    attrs.format as QuantizedFormat,
    sizeOf(attrs.shape as Shape),
    attrs.block as number,
    nested,
  );

function infer(inputs: readonly TensorSpec[], attrs: Attrs): readonly TensorSpec[] {
  const [codes, scales, table] = inputs as [TensorSpec, TensorSpec, TensorSpec | undefined];
  const layout = layoutOf(attrs, table !== undefined);
  const shapes = inputs.map((t) => t.shape);
  if (codes.dtype !== 'u32' || sizeOf(codes.shape) !== layout.codeWords)
    throw new ShapeError(
      'dequantize',
      shapes,
      `needs ${layout.codeWords} u32 words of ${attrs.format} codes`,
    );
  if (sizeOf(scales.shape) !== layout.scaleCount)
    throw new ShapeError('dequantize', shapes, `needs ${layout.scaleCount} scales`);
  if (table && (sizeOf(table.shape) !== 256 || !['nf4', 'fp4'].includes(attrs.format as string)))
    throw new ShapeError(
      'dequantize',
      shapes,
      'nested factors need 256 numbers, and a format of bitsandbytes',
    );
  return [{ shape: attrs.shape as Shape, dtype: 'f32' }];
}

/** A weight of few bits an element as f32; whoever multiplies by it, or looks up its rows, reads it in place. */
export const dequantizeOp: Op = defineOp({
  name: 'dequantize',
  infer,
  decompose: ([codes, scales, table], attrs) => {
    const layout = layoutOf(attrs, table !== undefined);
    const format = attrs.format as QuantizedFormat;
    const elements = numbers(format, codes!, layout);
    const factors = factorsOf(format, { codes: codes!, scales: cast(scales!, 'f32'), table }, layout);
    const { block, blocks, size } = layout;
    const padded = reshape(pad(elements, [0], [blocks * block - size]), [blocks, block]);
    const scaled = mul(padded, reshape(factors.factor, [blocks, 1]));
    const whole = factors.term ? add(scaled, reshape(factors.term, [blocks, 1])) : scaled;
    return [reshape(narrow(reshape(whole, [blocks * block]), 0, 0, size), attrs.shape as Shape)];
  },
  reader: dequantizeReader,
});

/** @throws ShapeError where the parts are not those of such a weight */
export function dequantize(
  { codes, scales, nestedTable }: QuantizedTensors,
  { format, shape, block }: DequantizeOptions,
): Tensor {
  const attrs = { format, shape: [...shape], block: blockOf(format, shape, block) };
  return applyOp(dequantizeOp, [codes, scales, ...(nestedTable ? [nestedTable] : [])], attrs)[0]!;
}

/** Fields of `bits` bits out of words from `start` on: u32 `[count]`, the lowest bits of a word first. */
function fields(words: Tensor, start: number, bits: number, count: number): Tensor {
  const each = 32 / bits;
  const length = Math.ceil(count / each);
  const places = iota([each], 0, 'u32');
  // the first of two 4-bit codes is the upper half of their byte
  const shifts = mul(bits === 4 ? bitXor(places, 1) : places, bits);
  const column = reshape(narrow(reshape(words, [-1]), 0, start, length), [length, 1]);
  const taken = bitAnd(shiftRight(column, reshape(shifts, [1, each])), 2 ** bits - 1);
  return narrow(reshape(taken, [length * each]), 0, 0, count);
}

/** What the codes mean, f32 `[size]`. */
function numbers(format: QuantizedFormat, codes: Tensor, { size, planeStarts }: QuantizedLayout): Tensor {
  const { planes, code } = formOf(format);
  let at = 0;
  const parts = planes.map((bits, i) => {
    const part = fields(codes, planeStarts[i]!, bits, size);
    const placed = at === 0 ? part : shiftLeft(part, at);
    at += bits;
    return placed;
  });
  const whole = parts.reduce(bitOr);
  switch (code.kind) {
    case 'table':
      return chosen(whole, code.table);
    case 'unsigned':
      return code.zero === 0 ? cast(whole, 'f32') : sub(cast(whole, 'f32'), code.zero);
    case 'signed':
      return code.divisor === 1 ? signed(whole) : div(signed(whole), code.divisor);
    default:
      return code satisfies never;
  }
}

/** A byte as a number of two's complement. */
const signed = (byte: Tensor): Tensor => sub(cast(bitXor(byte, 128), 'f32'), 128);

/** The table's entry at each index, by its bits. */
function chosen(index: Tensor, table: readonly number[]): Tensor {
  const choose = (entries: readonly number[], bit: number): Tensor => {
    if (entries.length === 1) return fill(entries[0]!, index.shape, 'f32');
    const half = entries.length / 2;
    const isHigh = equal(bitAnd(shiftRight(index, bit), 1), 1);
    return where(isHigh, choose(entries.slice(half), bit - 1), choose(entries.slice(0, half), bit - 1));
  };
  return choose(table, Math.log2(table.length) - 1);
}

interface Parts {
  readonly codes: Tensor;
  /** f32 */
  readonly scales: Tensor;
  readonly table: Tensor | undefined;
}

/** What each block is multiplied by and what is added to it, f32 `[blocks]`. */
function factorsOf(
  format: QuantizedFormat,
  { codes, scales, table }: Parts,
  layout: QuantizedLayout,
): { factor: Tensor; term?: Tensor } {
  const { group, minimum } = formOf(format);
  const { blocks, bytes, bytesStart } = layout;
  const flat = reshape(scales, [-1]);
  if (table) {
    const looked = take(cast(reshape(table, [-1]), 'f32'), cast(fields(codes, bytesStart, 8, bytes), 'i32'));
    const shared = spread(narrow(flat, 0, 1, layout.scaleCount - 1), nestedBlock, blocks);
    return { factor: add(mul(looked, shared), narrow(flat, 0, 0, 1)) };
  }
  /** Every second number where minima alternate with factors. */
  const every = (values: Tensor, which: 0 | 1): Tensor =>
    minimum ? reshape(narrow(reshape(values, [-1, 2]), 1, which, 1), [-1]) : values;
  if (!group) return minimum ? { factor: every(flat, 0), term: every(flat, 1) } : { factor: flat };
  const integers = fields(codes, bytesStart, 8, bytes);
  const small = group.signed ? signed(integers) : cast(integers, 'f32');
  const factor = mul(every(small, 0), spread(every(flat, 0), group.blocks, blocks));
  if (!minimum) return { factor };
  const term = mul(every(small, 1), spread(every(flat, 1), group.blocks, blocks));
  return { factor, term: mul(term, -1) };
}

/** Each number `times` times, `[count]`. */
function spread(values: Tensor, times: number, count: number): Tensor {
  const n = values.shape[0]!;
  const repeated = broadcastTo(reshape(values, [n, 1]), [n, times]);
  return narrow(reshape(repeated, [n * times]), 0, 0, count);
}
