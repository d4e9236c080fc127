import { add, mul, sum, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CapturedStep, type StepInput, UnusedInputError } from './capture.ts';
import { Runtime } from './runtime.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const input = (...data: number[]): StepInput => ({
  data: Float32Array.from(data),
  shape: [data.length],
  dtype: 'f32',
});

/** Adds x to a total, and gives the dot product of x and y. */
function makeStep() {
  const total = new Variable([], undefined, { name: 'total' });
  let built = 0;
  const step = new CapturedStep(runtime, ({ x, y }: { x: Tensor; y: Tensor }) => {
    built++;
    return { outputs: [sum(mul(x, y))], updates: [[total, add(total, sum(x))]] };
  });
  return { step, total, built: () => built };
}

test('the graph is built once for each signature, and each call sees its own data', async () => {
  const { step, total, built } = makeStep();
  expect(await step.run({ x: input(1, 2), y: input(3, 4) })).toEqual([Float32Array.of(11)]);
  expect(await step.run({ x: input(5, 6), y: input(1, 1) })).toEqual([Float32Array.of(11)]);
  expect(built()).toBe(1);
  expect(await step.run({ y: input(1, 1, 1), x: input(1, 2, 3) })).toEqual([Float32Array.of(6)]);
  expect(built()).toBe(2);
  expect(await runtime.read(total)).toEqual(Float32Array.of(20));
});

test('a call is one submission, and a repeated one makes no buffer', async () => {
  const { step } = makeStep();
  await step.prepare({ x: input(0, 0), y: input(0, 0) });
  await step.run({ x: input(1, 2), y: input(3, 4) });
  const before = gpu.stats();
  for (let i = 0; i < 3; i++) await step.run({ x: input(i, 2), y: input(3, 4) });
  const after = gpu.stats();
  expect(after.submissions - before.submissions).toBe(3);
  expect(after.buffersCreated).toBe(before.buffersCreated);
});

test('calls that nobody waits for keep their order, also where the first has to be compiled', async () => {
  const { step, total } = makeStep();
  await step.prepare({ x: input(0), y: input(0) });
  const last = new CapturedStep(runtime, ({ x }: { x: Tensor }) => ({ updates: [[total, sum(x)]] }));
  const results = [
    step.run({ x: input(1, 1, 1, 1, 1), y: input(1, 2, 3, 4, 5) }),
    step.run({ x: input(10), y: input(7) }),
    step.run({ x: input(20), y: input(8) }),
  ];
  expect((await Promise.all(results)).map(([dot]) => dot![0])).toEqual([15, 70, 160]);
  expect(await runtime.read(total)).toEqual(Float32Array.of(35));
  await last.run({ x: input(1, 2) });
  expect(await runtime.read(total)).toEqual(Float32Array.of(3));
});

test('what fails fails alone, and names why', async () => {
  const { step } = makeStep();
  await expect(step.run({ x: input(1, 2), y: input(1, 2, 3) })).rejects.toThrow(/mul.*\[2\].*\[3\]/);
  expect(await step.run({ x: input(1, 2), y: input(1, 2) })).toEqual([Float32Array.of(5)]);
});

test('an input that changes nothing is refused', async () => {
  const step = new CapturedStep(runtime, ({ x }: { x: Tensor; y: Tensor }) => ({ outputs: [sum(x)] }));
  const error = await step.run({ x: input(1), y: input(2) }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UnusedInputError);
  expect(error).toMatchObject({ input: 'y' });
});

test('its cost is known before it runs', async () => {
  const { step } = makeStep();
  const { dispatches, variableBytes } = await step.explain({ x: input(1, 2), y: input(1, 2) });
  expect(dispatches).toBeGreaterThan(0);
  expect(variableBytes).toBe(4 + 2 * 8);
});
