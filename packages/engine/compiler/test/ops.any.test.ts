import * as ops from '@graftjs/ops';
import { type OpCase, opCases } from '@graftjs/ops';
import { evaluate } from '@graftjs/reference';
import {
  applyOp,
  cast,
  constant,
  gradients,
  mul,
  narrowToHalves,
  type Op,
  sizeOf,
  sum,
  type Tensor,
  Variable,
  widenHalves,
} from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Runtime, type RuntimeOptions } from '../src/index.ts';

/** Each operation runs through every kernel it has, and through its decomposition. */
const variants: Record<string, RuntimeOptions> = {
  'as chosen here': {},
  decomposed: { kernels: false },
  'as on a GPU': { traits: { isCpu: false } },
  'without subgroups': { traits: { subgroupSize: 0 } },
  'as on a GPU without subgroups': { traits: { isCpu: false, subgroupSize: 0 } },
};

/** Long cases run where their kernels are those of this machine, and through their decomposition. */
const casesFor = (variant: string): readonly OpCase[] =>
  opCases.filter((c) => !c.long || variant === 'as chosen here' || variant === 'decomposed');

/** Of the largest entry. Sums of a few hundred f32 terms and exp of numbers up to 40 stay within this. */
const bound = 1e-5;
const stepSize = 1e-5;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

interface Built {
  readonly variables: readonly Variable[];
  readonly values: Map<Variable, ArrayLike<number>>;
  readonly outputs: readonly Tensor[];
  readonly loss: Tensor;
  readonly wrt: readonly Variable[];
}

/** Near saturation a softmax's gradient is the difference of nearly equal numbers, which 16 bits do not hold. */
const smaller = (value: number): number => value / 8;

/** `half` stores the floating-point operands in 16 bits. */
function build(c: OpCase, half?: 'f16' | 'bf16'): Built {
  const variables = c.inputs().map(({ shape, data, dtype }) => {
    if (!half || !(data instanceof Float32Array)) return new Variable(shape, data, { dtype });
    return new Variable(shape, narrowToHalves(half, data.map(smaller)), { dtype: half });
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

describe.each(Object.keys(variants))('kernels against float64, %s', (variant) => {
  let runtime: Runtime;
  beforeAll(() => {
    runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
  });
  const tried = casesFor(variant);
  test.each(tried.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    const { outputs, values, loss, wrt } = build(c);
    const tensors = [...outputs, ...(wrt.length ? gradients(loss, wrt) : [])];
    const expected = evaluate(tensors, values);
    const got = await runtime.evaluate(tensors);
    tensors.forEach((t, i) => {
      expect(got[i]!.length).toBe(sizeOf(t.shape));
      expect(
        worst(got[i]!, expected[i]!),
        i < outputs.length ? `output ${i}` : `gradient ${i - outputs.length}`,
      ).toBeLessThan(bound);
    });
  });
});

/**
 * Rounding to 11 and 8 bits, of the result and of what is stored on the way; relative to the largest entry.
 */
const halfBounds = { f16: 4 * 2 ** -11, bf16: 4 * 2 ** -8 } as const;

describe.each([
  ...Object.keys(variants).map((variant) => ['f16', variant] as const),
  ['bf16', 'as chosen here'],
] as const)('operands of %s against float64, %s', (half, variant) => {
  let runtime: Runtime;
  beforeAll(() => {
    runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
  });
  const tried = casesFor(variant).filter((c) => c.inputs().some(({ data }) => data instanceof Float32Array));
  test.each(tried.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    const { outputs, values, loss, wrt } = build(c, half);
    const tensors = [...outputs, ...(wrt.length ? gradients(loss, wrt) : [])];
    const expected = evaluate(tensors, values);
    const got = await runtime.evaluate(tensors);
    tensors.forEach((t, i) => {
      const numbers = got[i] instanceof Uint16Array ? widenHalves(half, got[i]) : got[i]!;
      expect(numbers.length).toBe(sizeOf(t.shape));
      expect(
        worst(numbers, expected[i]!),
        i < outputs.length ? `output ${i}` : `gradient ${i - outputs.length}`,
      ).toBeLessThan(halfBounds[half]);
    });
  });
});

describe('gradients against central differences in float64', () => {
  test.each(opCases.filter((c) => c.wrt.length).map((c) => [c.name, c] as const))('%s', (_, c) => {
    const { loss, values, wrt } = build(c);
    const analytic = evaluate(gradients(loss, wrt), values);
    wrt.forEach((variable, k) => {
      const base = Float64Array.from(values.get(variable)!);
      const probes = Math.min(base.length, 6);
      const scale = Math.max(1e-12, ...analytic[k]!.map(Math.abs));
      for (let p = 0; p < probes; p++) {
        const i = Math.floor((p * base.length) / probes);
        const at = (d: number): number => {
          const moved = base.slice();
          moved[i]! += d;
          return evaluate([loss], new Map(values).set(variable, moved))[0]![0]!;
        };
        const numeric = (at(stepSize) - at(-stepSize)) / (2 * stepSize);
        expect(Math.abs(numeric - analytic[k]![i]!) / scale).toBeLessThan(1e-6);
      }
    });
  });
});

test('every operation with a kernel or a gradient has cases', () => {
  const tried = new Set(opCases.map((c) => c.op));
  const gradientOps = /GradientOp$/;
  const all = Object.entries(ops).filter(([name]) => name.endsWith('Op') && !gradientOps.test(name)) as [
    string,
    Op,
  ][];
  expect(all.length).toBeGreaterThan(5);
  expect(all.filter(([, op]) => !tried.has(op)).map(([name]) => name)).toEqual([]);
});
