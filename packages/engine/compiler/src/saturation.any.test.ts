import { gradients, sigmoid, silu, softplus, sum, tanh, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Runtime } from './index.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const points = [0, 1, 20, 59, 61, 87, 89, 104, 1e4, 1e30].flatMap((x) => [x, -x]);
const s = (x: number): number => 1 / (1 + Math.exp(-x));

test.each([
  ['sigmoid', sigmoid, s, (x: number) => s(x) * s(-x)],
  ['silu', silu, (x: number) => x * s(x), (x: number) => s(x) + x * s(x) * s(-x)],
  ['softplus', softplus, (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), s],
  ['tanh', tanh, Math.tanh, (x: number) => 1 - Math.tanh(x) ** 2],
] as const)('%s and its gradient are right where exp overflows and vanishes', async (_, f, value, slope) => {
  const runtime = new Runtime(gpu);
  const x = new Variable([points.length], Float32Array.from(points));
  const y = f(x);
  const [got, gradient] = await runtime.evaluate([y, ...gradients(sum(y), [x])]);
  for (const [i, at] of points.map(Math.fround).entries()) {
    const scale = Math.max(1, Math.abs(value(at)));
    expect(Math.abs(got![i]! - value(at)), `at ${at}`).toBeLessThan(1e-6 * scale);
    expect(Math.abs(gradient![i]! - slope(at)), `slope at ${at}`).toBeLessThan(1e-6);
  }
});
