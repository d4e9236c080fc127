import { Runtime } from '@graftjs/compiler';
import { HostRandom, normalArray } from '@graftjs/nn';
import { evaluate } from '@graftjs/reference';
import { gradients, mul, ShapeError, sum, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lstm } from './lstm-op.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const random = new HostRandom(5);
const noise = (shape: readonly number[], deviation: number): Variable =>
  new Variable(shape, normalArray(shape[0]! * shape[1]!, deviation, random));

/** The largest difference, relative to the largest entry. */
const distance = (got: ArrayLike<number>, expected: Float64Array): number => {
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-30);
  return expected.reduce((most, x, i) => Math.max(most, Math.abs(got[i]! - x)), 0) / largest;
};

// More elements than a workgroup has invocations, one place, saturated gates.
test.each([
  [5, 3, 1],
  [1, 4, 1],
  [3, 300, 0.2],
  [4, 6, 40],
])('%i places of %i elements: states and gradients are those of float64', async (n, size, deviation) => {
  for (const reverse of [false, true]) {
    const [x, w, weights] = [
      noise([n, 4 * size], deviation),
      noise([size, 4 * size], 0.1),
      noise([n, size], 1),
    ];
    const feeds = new Map([x, w, weights].map((v) => [v, v.pending!.slice()]));
    const states = lstm(x, w, reverse);
    const wanted = [states, ...gradients(sum(mul(states, weights)), [x, w])];
    const program = await runtime.compile({ outputs: wanted });
    const got = await program.run();
    const exact = evaluate(wanted, feeds);
    for (const [i, values] of exact.entries())
      expect(distance(got[i]!, values), `${['states', 'dx', 'dw'][i]}, reverse ${reverse}`).toBeLessThan(
        1e-5,
      );
    const { steps } = program.explain();
    expect(steps.filter(({ label }) => label.startsWith('lstm')).map(({ label }) => label)).toEqual([
      'lstm',
      'lstmGradient',
    ]);
  }
});

test('without its kernel it is the same', async () => {
  const [x, w] = [noise([3, 8], 1), noise([2, 8], 1)];
  const states = lstm(x, w, false);
  const [exact] = evaluate([states], new Map([x, w].map((v) => [v, v.pending!.slice()])));
  const [got] = await new Runtime(gpu, { kernels: false }).evaluate([states]);
  expect(distance(got!, exact!)).toBeLessThan(1e-6);
});

test('operands that do not fit are refused', () => {
  expect(() => lstm(noise([3, 8], 1), noise([3, 8], 1), false)).toThrow(ShapeError);
});
