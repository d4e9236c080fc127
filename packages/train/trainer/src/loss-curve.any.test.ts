import { Runtime } from '@graftjs/compiler';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loraRun } from '../test/lora-run.ts';
import recorded from '../test/loss-curve.json' with { type: 'json' };

/** Rounding differs between devices and grows over six steps; a wrong gradient shows in the second one. */
const tolerance = 1e-4;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

test('a LoRA run has the same losses and gradients in Node and in Chromium', async () => {
  const curve = await loraRun(new Runtime(gpu));
  for (const key of ['losses', 'gradNorms'] as const) {
    expect(curve[key]).toHaveLength(recorded[key].length);
    for (const [i, expected] of recorded[key].entries())
      expect(Math.abs(curve[key][i]! / expected - 1), `${key} of step ${i + 1}`).toBeLessThan(tolerance);
  }
  for (const key of ['heldOutBefore', 'heldOutAfter'] as const)
    expect(Math.abs(curve[key] / recorded[key] - 1), key).toBeLessThan(tolerance);
  expect(curve.heldOutAfter).toBeLessThan(curve.heldOutBefore - 0.05);
});

test('twice the same run gives the same bits', async () => {
  const runtime = new Runtime(gpu);
  expect(await loraRun(runtime)).toEqual(await loraRun(runtime));
});
