import * as ops from '@graftjs/ops';
import { opCases } from '@graftjs/ops';
import { evaluate } from '@graftjs/reference';
import { gradients, type Op } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Runtime } from '../src/index.ts';
import { bounds, build, casesFor, differences, variants } from './op-suite.ts';

const stepSize = 1e-5;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

describe.each([
  ...Object.keys(variants).flatMap((variant) => [['f32', variant] as const, ['f16', variant] as const]),
  ['bf16', 'as chosen here'] as const,
])('operands of %s against float64, %s', (storage, variant) => {
  let runtime: Runtime;
  beforeAll(() => {
    runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
  });
  test.each(casesFor(variant, storage).map((c) => [c.name, c] as const))('%s', async (_, c) => {
    for (const { of, error } of await differences(runtime, c, storage))
      expect(error, of).toBeLessThan(bounds[storage]);
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
