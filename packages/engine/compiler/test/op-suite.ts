import { type OpCase, opCases } from '@graftjs/ops';
import { evaluate } from '@graftjs/reference';
import {
  applyOp,
  cast,
  constant,
  gradients,
  mul,
  narrowToHalves,
  sizeOf,
  sum,
  type Tensor,
  Variable,
  widenHalves,
} from '@graftjs/tensor';
import type { Runtime, RuntimeOptions } from '../src/index.ts';

/** Each operation runs through every kernel it has, and through its decomposition. */
export const variants: Readonly<Record<string, RuntimeOptions>> = {
  'as chosen here': {},
  decomposed: { kernels: false },
  'as on a GPU': { traits: { isCpu: false } },
  'without subgroups': { traits: { subgroupSize: 0 } },
  'as on a GPU without subgroups': { traits: { isCpu: false, subgroupSize: 0 } },
};

/** How floating-point operands are stored. */
export type Storage = 'f32' | 'f16' | 'bf16';

/**
 * How far results may be from float64, relative to the largest entry. f32: sums of a few hundred terms and exp of
 * numbers up to 40 stay within it. 16 bits: rounding to 11 and 8 bits, of the result and of what is stored on the way.
 */
export const bounds: Readonly<Record<Storage, number>> = { f32: 1e-5, f16: 4 * 2 ** -11, bf16: 4 * 2 ** -8 };

/** Long cases run where their kernels are those of this machine, and through their decomposition. */
export const casesFor = (variant: string, storage: Storage): readonly OpCase[] =>
  opCases.filter(
    (c) =>
      (!c.long || variant === 'as chosen here' || variant === 'decomposed') &&
      (storage === 'f32' || c.inputs().some(({ data }) => data instanceof Float32Array)),
  );

export interface Built {
  readonly variables: readonly Variable[];
  readonly values: Map<Variable, ArrayLike<number>>;
  readonly outputs: readonly Tensor[];
  readonly loss: Tensor;
  readonly wrt: readonly Variable[];
}

/** Near saturation a softmax's gradient is the difference of nearly equal numbers, which 16 bits do not hold. */
const smaller = (value: number): number => value / 8;

export function build(c: OpCase, storage: Storage = 'f32'): Built {
  const variables = c.inputs().map(({ shape, data, dtype }) => {
    if (storage === 'f32' || !(data instanceof Float32Array)) return new Variable(shape, data, { dtype });
    return new Variable(shape, narrowToHalves(storage, data.map(smaller)), { dtype: storage });
  });
  const values = new Map<Variable, ArrayLike<number>>(variables.map((v) => [v, v.pending!.slice()]));
  const outputs = applyOp(c.op, variables, c.attrs);
  const [first] = outputs as [Tensor];
  const weights = Float32Array.from({ length: first.size }, (_, i) => Math.sin(i * 1.7 + 0.3));
  const fixed = constant(weights, first.shape);
  values.set(fixed as Variable, weights.slice());
  const loss = c.wrt.length ? sum(mul(cast(first, 'f32'), fixed)) : first;
  return { variables, values, outputs, loss, wrt: c.wrt.map((i) => variables[i]!) };
}

function worst(got: ArrayLike<number>, expected: Float64Array): number {
  const scale = Math.max(
    1e-30,
    expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0),
  );
  return (
    expected.reduce((w, v, i) => {
      const error = Math.abs(got[i]! - v);
      return Math.max(w, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    }, 0) / scale
  );
}

/** How far a result is from float64. */
export interface Difference {
  /** `output 0`, `gradient 1`. */
  readonly of: string;
  /** Relative to the largest entry; infinite where there is NaN or the size is wrong. */
  readonly error: number;
}

/** Runs an operation and its gradients on the device and on the reference. */
export async function differences(
  runtime: Runtime,
  c: OpCase,
  storage: Storage = 'f32',
): Promise<Difference[]> {
  const { outputs, values, loss, wrt } = build(c, storage);
  const tensors = [...outputs, ...(wrt.length ? gradients(loss, wrt) : [])];
  const expected = evaluate(tensors, values);
  const got = await runtime.evaluate(tensors);
  return tensors.map((t, i) => {
    const stored = got[i]!;
    const numbers =
      stored instanceof Uint16Array ? widenHalves(storage as Exclude<Storage, 'f32'>, stored) : stored;
    return {
      of: i < outputs.length ? `output ${i}` : `gradient ${i - outputs.length}`,
      error: numbers.length === sizeOf(t.shape) ? worst(numbers, expected[i]!) : Number.POSITIVE_INFINITY,
    };
  });
}
