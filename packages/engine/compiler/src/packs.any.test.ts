/** Operands of one kernel in one memory: variables that move there, temporaries that are placed there, and copies. */
import { type AdamwPart, adamwPack, squaredNorm } from '@graftjs/ops';
import { evaluate } from '@graftjs/reference';
import { add, constant, exp, mul, type Tensor, Variable, zeros } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Runtime } from './index.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const variable = (size: number, salt: number): Variable =>
  new Variable(
    [size],
    Float32Array.from({ length: size }, (_, i) => Math.sin(salt + 2 * i)),
  );
const options = { beta1: 0.9, beta2: 0.99, eps: 1e-8 };
const near = (value: number, right: number): void =>
  expect(Math.abs(value - right)).toBeLessThan(1e-5 * Math.max(1, Math.abs(right)));
const stepOf = (): Tensor => constant(Float32Array.of(0.1, 0.01, 0.1, 0.01), [1, 4]);

/** Parameters with their gradients, on the device and in float64: the same updates, some times. */
async function compare(
  partsOf: () => AdamwPart[],
  orders: readonly (readonly number[])[],
  outputs = 0,
): Promise<void> {
  runtime = new Runtime(gpu, { poison: true });
  const [device, right] = [partsOf(), partsOf()];
  const requestOf = (parts: AdamwPart[], order: readonly number[]) => {
    const chosen = order.map((i) => parts[i]!);
    const next = adamwPack(chosen, stepOf(), options);
    const updates = next.flatMap((values, i) => {
      const { param, m, v } = chosen[i]!;
      return [param, m, v].map((x, k) => [x as Variable, values[k]!] as const);
    });
    const norm = squaredNorm(chosen.map(({ grad }) => grad));
    return { outputs: [norm, ...chosen.slice(0, outputs).map(({ param }) => param)], updates };
  };
  const programs = await Promise.all(orders.map((order) => runtime.compile(requestOf(device, order))));
  const feeds = new Map<Variable, ArrayLike<number>>();
  for (let round = 0; round < 2; round++)
    for (const [k, order] of orders.entries()) {
      const got = await programs[k]!.run();
      const request = requestOf(right, order);
      const expected = evaluate([...request.outputs, ...request.updates.map(([, next]) => next)], feeds);
      request.updates.forEach(([x], i) => {
        feeds.set(x, expected[request.outputs.length + i]!);
      });
      for (const [i, values] of got.entries())
        for (const [j, value] of values.entries()) near(value, expected[i]![j]!);
      for (const i of right.keys())
        for (const field of ['param', 'm', 'v'] as const) {
          const values = await runtime.read(device[i]![field] as Variable);
          const truth = feeds.get(right[i]![field] as Variable);
          if (truth) for (const [j, value] of values.entries()) near(value, truth[j]!);
        }
    }
}

const sizes = [3, 64, 64, 301];
const partsOf = (gradient: (param: Tensor, i: number) => Tensor) => (): AdamwPart[] =>
  sizes.map((size, i) => {
    const param = variable(size, i);
    const [m, v] = [new Variable([size]), new Variable([size])];
    return { param, grad: gradient(param, i), m, v, step: 0 };
  });

test('gradients that are computed, for variables that lie together from then on', async () => {
  await compare(
    partsOf((param) => mul(exp(param), 2)),
    [[0, 1, 2, 3]],
  );
});

test('gradients without memory of their own, or with the same', async () => {
  await compare(
    partsOf((param, i) => (i === 3 ? variable(301, 9) : i === 0 ? param : zeros(param.shape))),
    [[0, 1, 2, 3]],
  );
});

test('programs that want the same variables in different orders take turns', async () => {
  await compare(
    partsOf((param) => add(param, 1)),
    [
      [0, 1, 2, 3],
      [3, 1],
      [2, 0, 3, 1],
    ],
  );
});

test('old values that are asked for beside the new ones', async () => {
  await compare(
    partsOf((param) => exp(param)),
    [[2, 1, 0]],
    2,
  );
});

test('variables in one memory are released one by one', async () => {
  await compare(
    partsOf((param) => exp(param)),
    [[0, 1, 2, 3]],
  );
  const [a, b] = [variable(5, 1), variable(7, 2)];
  runtime.pack([a, b]);
  runtime.upload(a);
  runtime.upload(b);
  const before = gpu.stats().bytesLive;
  runtime.release(a);
  expect(gpu.stats().bytesLive).toBe(before);
  expect([...(await runtime.read(b))][0]).toBeCloseTo(Math.sin(2), 5);
  runtime.release(b);
  expect(gpu.stats().bytesLive).toBeLessThan(before);
});
