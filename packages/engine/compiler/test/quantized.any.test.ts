import {
  blockOf,
  dequantize,
  embedding,
  type QuantizedFormat,
  quantizedForms,
  quantizedLayout,
} from '@graftjs/ops';
import { evaluate } from '@graftjs/reference';
import {
  add,
  constant,
  type DType,
  gradients,
  type HostArray,
  linear,
  matmul,
  mul,
  narrow,
  narrowToHalves,
  type Shape,
  sizeOf,
  sub,
  sum,
  type Tensor,
  transpose,
  Variable,
} from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Runtime, type RuntimeOptions } from '../src/index.ts';

/** Every family of products, and those that run decomposed. */
const variants: Record<string, RuntimeOptions> = {
  'as chosen here': {},
  'as on a GPU': { traits: { isCpu: false } },
  'without subgroups': { traits: { subgroupSize: 0 } },
  'as on a GPU without subgroups': { traits: { isCpu: false, subgroupSize: 0 } },
  decomposed: { kernels: false },
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
/** What the host handed in: a runtime takes it over. */
const given = new Map<Variable, ArrayLike<number>>();
function variable(shape: Shape, data: HostArray, dtype: DType): Variable {
  const made = new Variable(shape, data, { dtype });
  given.set(made, data.slice());
  return made;
}
const floats = (shape: Shape): Variable =>
  variable(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => 2 * random() - 1),
    'f32',
  );

interface Options {
  readonly nested?: boolean;
  readonly scaleType?: 'f32' | 'f16';
}

/** A weight of random codes. */
function weight(
  format: QuantizedFormat,
  shape: Shape,
  { nested = false, scaleType = 'f32' }: Options = {},
): Tensor {
  const layout = quantizedLayout(format, sizeOf(shape), blockOf(format, shape), nested);
  const words = Uint32Array.from({ length: layout.codeWords }, () => random() * 2 ** 32);
  const scales = Float32Array.from({ length: layout.scaleCount }, () => random() / 16);
  return dequantize(
    {
      codes: variable([layout.codeWords], words, 'u32'),
      scales:
        scaleType === 'f32'
          ? variable([layout.scaleCount], scales, 'f32')
          : variable([layout.scaleCount], narrowToHalves(scaleType, scales), scaleType),
      ...(nested ? { nestedTable: floats([256]) } : {}),
    },
    { format, shape },
  );
}

function worst(got: ArrayLike<number>, expected: Float64Array): number {
  const scale = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
  return expected.reduce((w, v, i) => {
    const error = Math.abs(got[i]! - v) / scale;
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(w, error);
  }, 0);
}

async function holds(runtime: Runtime, tensors: readonly Tensor[]): Promise<void> {
  const expected = evaluate(tensors, given);
  const got = await runtime.evaluate(tensors);
  tensors.forEach((_, i) => {
    expect(worst(got[i]!, expected[i]!), `tensor ${i}`).toBeLessThan(1e-5);
  });
}

/** Bytes that a program has beside its variables, and what its kernels bind. */
const temporaries = (program: Awaited<ReturnType<Runtime['compile']>>): number => program.plan.arenaBytes;

const weights: [string, () => Tensor][] = [
  ['nf4', () => weight('nf4', [72, 128])],
  ['nf4, nested factors', () => weight('nf4', [72, 128], { nested: true })],
  ['nf4, rows that are no vectors', () => weight('nf4', [33, 70], { nested: true })],
  ['fp4', () => weight('fp4', [40, 64])],
  ['int8', () => weight('int8', [36, 100])],
  ['int8, rows that are no vectors', () => weight('int8', [9, 23])],
  ...(['Q4_0', 'Q4_1', 'Q5_1', 'Q8_0', 'Q4_K', 'Q6_K'] as const).map((format): [string, () => Tensor] => [
    format,
    () =>
      weight(format, [36, quantizedForms[format].block < 32 || format === 'Q4_K' ? 256 : 96], {
        scaleType: 'f16',
      }),
  ]),
];

describe.each(Object.keys(variants))('products with quantized weights against float64, %s', (variant) => {
  let runtime: Runtime;
  beforeAll(() => {
    runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
  });
  // Kernels that are not of this adapter are slow to compile: two weights try them.
  const others = ['nf4, nested factors', 'int8, rows that are no vectors'];
  const tried = weights.filter(([name]) => variant === 'as chosen here' || others.includes(name));
  test.each(tried)('%s: x Wᵀ, its gradient, and the layout [in, out]', async (_, make) => {
    const w = make();
    const [out, inner] = w.shape as [number, number];
    for (const rows of variant === 'as chosen here' ? [3, 36] : [36]) {
      const x = floats([rows, inner]);
      const y = linear(x, w);
      const loss = sum(mul(y, floats([rows, out])));
      await holds(runtime, [y, ...gradients(loss, [x])]);
      const z = floats([rows, out]);
      const back = linear(z, transpose(w));
      await holds(runtime, [back, ...gradients(sum(mul(back, floats([rows, inner]))), [z])]);
    }
  });
});

describe.each(['as chosen here', 'decomposed'])(
  'uses of quantized weights against float64, %s',
  (variant) => {
    let runtime: Runtime;
    beforeAll(() => {
      runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
    });
    test('with what follows in the epilogue, as the left operand, in parts, and rows of a window', async () => {
      const w = weight('nf4', [64, 512], { nested: true });
      const x = floats([5, 512]);
      const bias = floats([64]);
      await holds(runtime, [add(linear(x, w, bias), floats([5, 64]))]);
      await holds(runtime, [matmul(w, transpose(x))]);
      await holds(runtime, [linear(floats([4, 512]), narrow(w, 0, 8, 20))]);
      await holds(runtime, [linear(floats([4, 128]), narrow(w, 1, 64, 128))]);
    });

    test('both operands', async () => {
      await holds(runtime, [matmul(weight('Q4_0', [24, 64]), transpose(weight('int8', [16, 64])))]);
    });

    test('rows of a table, sums, and a change of the weight', async () => {
      for (const table of [weight('Q8_0', [10, 64]), weight('nf4', [10, 30], { nested: true })]) {
        const ids = constant(Int32Array.of(3, 0, 9, 3), [2, 2]);
        await holds(runtime, [embedding(ids, table)]);
        await holds(runtime, [sum(mul(table, table), [1]), add(table, floats(table.shape)), table]);
        const [a, b] = [floats([table.shape[0]!, 2]), floats([2, table.shape[1]!])];
        await holds(runtime, [add(table, matmul(a, b)), sub(transpose(table), 1)]);
      }
    });
  },
);

test('a frozen weight is read in place in both directions: no temporary holds it', async () => {
  const runtime = new Runtime(gpu);
  const w = weight('nf4', [256, 512], { nested: true });
  const x = floats([4, 512]);
  const y = linear(x, w);
  const program = await runtime.compile({ outputs: gradients(sum(mul(y, y)), [x]) });
  // y, 2 y and the gradient, with partial sums where the inner axis is split: far from the 524,288 bytes of W
  expect(temporaries(program)).toBeLessThan(256 * 512 * 4 * 0.35);
  const bound = program.variables.reduce((n, v) => n + (v === x ? 0 : v.byteLength), 0);
  expect(bound).toBe(256 * 512 * 0.5 + (256 * 512) / 64 + 4 * (1 + 2048 / 256) + 4 * 256);
});

test('a new value of the codes is seen by the next run', async () => {
  const runtime = new Runtime(gpu);
  const codes = new Variable([8], new Uint32Array(8).fill(0x99999999));
  const scales = new Variable([2], Float32Array.of(1, 2));
  const w = dequantize({ codes, scales }, { format: 'Q4_0', shape: [2, 32] });
  const program = await runtime.compile({ outputs: [sum(w, [1])] });
  expect([...(await program.run())[0]!]).toEqual([32, 64]);
  codes.set(new Uint32Array(8).fill(0xaaaaaaaa));
  expect([...(await program.run())[0]!]).toEqual([64, 128]);
});

test('parts of another size are refused', () => {
  const codes = new Variable([8], new Uint32Array(8));
  const of = (length: number, dtype: DType = 'f32') => new Variable([length], undefined, { dtype });
  expect(() => dequantize({ codes, scales: of(3) }, { format: 'Q4_0', shape: [2, 32] })).toThrow(
    'needs 2 scales',
  );
  expect(() => dequantize({ codes, scales: of(2) }, { format: 'Q4_0', shape: [2, 64] })).toThrow(
    'needs 16 u32 words',
  );
  const nested = { codes, scales: of(2), nestedTable: of(256) };
  expect(() => dequantize(nested, { format: 'Q4_0', shape: [2, 32] })).toThrow();
});
