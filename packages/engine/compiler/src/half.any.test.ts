import {
  add,
  cast,
  concat,
  constant,
  linear,
  mul,
  narrow,
  narrowToHalves,
  type Tensor,
  take,
  Variable,
  widenHalves,
} from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Runtime } from './index.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const halves = ['f16', 'bf16'] as const;
type Half = (typeof halves)[number];
const half = (dtype: Half, values: readonly number[], shape: readonly number[] = [values.length]): Variable =>
  new Variable(shape, narrowToHalves(dtype, Float32Array.from(values)), { dtype });
const numbers = async (tensor: Tensor): Promise<number[]> => {
  const [got] = await runtime.evaluate([tensor]);
  return [...(got instanceof Uint16Array ? widenHalves(tensor.dtype as Half, got) : got!)];
};
const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset);
const isNaN16 = (dtype: Half, pattern: number): boolean =>
  Number.isNaN(widenHalves(dtype, Uint16Array.of(pattern))[0]);

/** Numbers around every place where rounding changes, and many others. */
function probes(dtype: Half): Float32Array<ArrayBuffer> {
  const found: number[] = [
    0,
    -0,
    65504,
    65519.996,
    65520,
    65536,
    1e30,
    3.4e38,
    2 ** -24,
    2 ** -25,
    1.1 * 2 ** -25,
  ];
  for (let pattern = 0; pattern < 0x7f80; pattern += 97) {
    const [low, high] = widenHalves(dtype, Uint16Array.of(pattern, pattern + 1)) as unknown as [
      number,
      number,
    ];
    if (!Number.isFinite(high)) continue;
    const tie = (low + high) / 2;
    for (const at of [low, tie, tie * (1 - 2 ** -23), tie * (1 + 2 ** -23)]) found.push(at, -at);
  }
  // below the smallest normal f32 devices may flush to zero
  return Float32Array.from(found.filter((v) => v === 0 || Math.abs(v) >= 2 ** -126));
}

describe.each(halves)('%s', (dtype) => {
  test('every pattern is read as its number', async () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const expected = widenHalves(dtype, patterns);
    const stored = new Variable([65536], patterns.slice(), { dtype });
    const [got] = (await runtime.evaluate([cast(stored, 'f32')])) as [Float32Array];
    const wrong = [...patterns].filter((i) => {
      if (Number.isNaN(expected[i])) return !Number.isNaN(got[i]);
      const subnormal = Math.abs(expected[i]!) < 2 ** -126;
      return bits(got)[i] !== bits(expected)[i] && !(subnormal && got[i] === 0);
    });
    expect(wrong).toEqual([]);
  });

  test('rounds to the nearest, ties to even, as PyTorch does; too large becomes infinite', async () => {
    for (const values of [probes(dtype), probes(dtype).slice(1), Float32Array.of(Number.POSITIVE_INFINITY)]) {
      const expected = narrowToHalves(dtype, values);
      const [got] = await runtime.evaluate([cast(constant(values, [values.length]), dtype)]);
      const wrong = [...expected.keys()].filter((i) => got![i] !== expected[i]);
      expect(wrong.map((i) => `${values[i]}: ${got![i]}, not ${expected[i]}`)).toEqual([]);
    }
    const [nan] = await runtime.evaluate([cast(constant(Float32Array.of(Number.NaN), [1]), dtype)]);
    expect(isNaN16(dtype, nan![0]!)).toBe(true);
  });

  test.each([1, 2, 3, 5, 7, 8, 13])('%i elements: odd ones, pairs and fours', async (n) => {
    const values = Array.from({ length: n }, (_, i) => i - 2.5);
    expect(await numbers(add(half(dtype, values), 1))).toEqual(values.map((v) => v + 1));
    const [x, y] = [half(dtype, values), half(dtype, values)];
    expect(await numbers(concat([x, y], 0))).toEqual([...values, ...values]);
    if (n > 2)
      expect(await numbers(mul(narrow(x, 0, 1, n - 1), 2))).toEqual(values.slice(1).map((v) => 2 * v));
  });

  test('rows of a table', async () => {
    const table = half(
      dtype,
      Array.from({ length: 12 }, (_, i) => i),
      [4, 3],
    );
    const rows = constant(Int32Array.of(3, 0, 3), [3]);
    expect(await numbers(cast(take(table, rows), 'f32'))).toEqual([9, 10, 11, 0, 1, 2, 9, 10, 11]);
  });

  test('a variable is changed in place, and no copy is made', async () => {
    const weights = half(dtype, [1, 2, 3, 4, 5]);
    const program = await runtime.compile({
      updates: [[weights, cast(add(cast(weights, 'f32'), 0.5), dtype)]],
    });
    expect(program.explain()).toMatchObject({ dispatches: 1, copies: 0 });
    await program.run();
    await program.run();
    expect(await numbers(weights)).toEqual([2, 3, 4, 5, 6]);
  });

  test('a frozen weight is read by the product itself, and a residual added as the product is stored', async () => {
    const weight = half(dtype, [1, 2, 3, 4, 5, 6, 7, 8], [4, 2]);
    const residual = half(dtype, [0.5, 1, 1.5, 2], [1, 4]);
    const x = constant(Float32Array.of(1, 10), [1, 2]);
    const y = add(cast(linear(x, weight), dtype), residual);
    const program = await runtime.compile({ outputs: [y] });
    expect(program.explain().dispatches).toBe(1);
    expect(await numbers(y)).toEqual([21.5, 44, 66.5, 89]);
  });
});
