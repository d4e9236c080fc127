import { dequantize, type QuantizedFormat } from '@graftjs/ops';
import { type HostArray, type Shape, transpose, Variable } from '@graftjs/tensor';
import { Parameter } from '../parameter.ts';

/** A quantized weight on the host. */
export interface QuantizedData {
  readonly format: QuantizedFormat;
  /** Row-major, as it is quantized. */
  readonly shape: Shape;
  /** Elements that share a factor. */
  readonly block: number;
  readonly codes: Uint32Array<ArrayBuffer>;
  /** f32, or f16 patterns. */
  readonly scales: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
  /** What the bytes of nested factors mean. */
  readonly nestedTable?: Float32Array<ArrayBuffer>;
}

export interface QuantizedWeightOptions {
  readonly name?: string;
  /** The weight is the transpose of what is quantized (GPT-2's layout). */
  readonly transposed?: boolean;
  /** A table that other weights have too, in place of the data's own. */
  readonly nestedTable?: Variable;
}

/** A quantized weight was to be given numbers. */
export class QuantizedWeightError extends TypeError {
  override readonly name = 'QuantizedWeightError';
  readonly weight: string;

  constructor(weight: string, format: QuantizedFormat) {
    super(`${weight} is stored as ${format}, which is frozen: put a parameter in its place to change it`);
    this.weight = weight;
  }
}

/**
 * A frozen weight of 2 to 8 bits an element, f32 to whoever computes with it: products and lookups read it in place.
 * A parameter of a model, but no leaf of graphs: its value is computed from its parts, and it has no other memory.
 */
export class QuantizedWeight extends Parameter {
  readonly format: QuantizedFormat;
  readonly block: number;
  readonly transposed: boolean;
  /** What is in memory; the last may be shared with other weights. */
  readonly parts: readonly Variable[];

  constructor(data: QuantizedData, options: QuantizedWeightOptions = {}) {
    const { name = 'weight', transposed = false } = options;
    const variable = (part: string, values: HostArray): Variable =>
      new Variable([values.length], values, { name: `${name}.${part}` });
    const codes = variable('codes', data.codes);
    const scales = variable('scales', data.scales);
    const nestedTable =
      data.nestedTable && (options.nestedTable ?? variable('nestedTable', data.nestedTable));
    const { format, shape, block } = data;
    const whole = dequantize(
      { codes, scales, ...(nestedTable ? { nestedTable } : {}) },
      { format, shape, block },
    );
    const value = transposed ? transpose(whole) : whole;
    super(value.shape, undefined, { name, trainable: false });
    Object.assign(this, { node: value.node });
    this.format = format;
    this.block = block;
    this.transposed = transposed;
    this.parts = [codes, scales, ...(nestedTable ? [nestedTable] : [])];
  }

  /** @throws QuantizedWeightError */
  override set(): never {
    throw new QuantizedWeightError(this.name, this.format);
  }

  /** Of all its parts. */
  override get byteLength(): number {
    return this.parts.reduce((n, part) => n + part.byteLength, 0);
  }
}
