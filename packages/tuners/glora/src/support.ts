import { type HostRandom, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import { matmul, type Tensor } from '@graftjs/tensor';

/** One of A to E: what is trained and saved of it, and its value. */
export interface Support {
  /** By the ends of their names on disk: `Xd`, `Xu`, `X`. */
  readonly trained: Readonly<Record<string, Parameter>>;
  /** Zeros, which PEFT saves where there is nothing. */
  readonly buffers: Readonly<Record<string, Parameter>>;
  /** Of a shape that broadcasts to the whole; undefined where it is none. */
  readonly value: (() => Tensor) | undefined;
}

export type SupportKind = 'lora' | 'vector' | 'constant' | 'none';

export interface SupportOptions {
  /** For parameters: `model.layers.0.self_attn.q_proj.glora_A`. */
  readonly name: string;
  /** Of the whole: `[out, in]`, `[in, 1]` or `[out]`. */
  readonly shape: readonly number[];
  readonly r: number;
  readonly random: HostRandom;
  /** Its value is zero at first. */
  readonly fromZero: boolean;
}

/** A support of some kind. Vectors have one number for each row of the whole. */
export function makeSupport(
  kind: SupportKind,
  { name, shape, r, random, fromZero }: SupportOptions,
): Support {
  const parameter = (end: string, of: readonly number[], start?: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(of, start, { name: `${name}.${end}`, trainable: false });
  // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns; a vector alone is a row.
  const uniform = (size: number, columns: number): Float32Array<ArrayBuffer> =>
    uniformArray(size, 1 / Math.sqrt(columns), random);
  const alone = (x: Parameter): Support => ({ trained: { X: x }, buffers: {}, value: () => x });
  const [rows, columns] = [shape[0]!, shape[1] ?? 1];
  switch (kind) {
    case 'lora': {
      const down = parameter('Xd', [rows, r], fromZero ? undefined : uniform(rows * r, r));
      const up = parameter('Xu', [r, columns], uniform(r * columns, columns));
      return { trained: { Xd: down, Xu: up }, buffers: {}, value: () => matmul(down, up) };
    }
    case 'vector': {
      const start = fromZero ? undefined : uniform(rows, shape.length === 1 ? rows : 1);
      return alone(parameter('X', shape.length === 1 ? [rows] : [rows, 1], start));
    }
    case 'constant':
      return alone(parameter('X', [1], fromZero ? undefined : normalArray(1, 0.02, random)));
    case 'none':
      return { trained: {}, buffers: { zeros: parameter('zeros', shape) }, value: undefined };
    default:
      return kind satisfies never;
  }
}
