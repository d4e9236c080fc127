/** Blocks that are computed again in the backward pass change what a step keeps, not what it computes. */
import { Runtime } from '@graftjs/compiler';
import { type CausalLM, tokenLossSum } from '@graftjs/models';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { farthest, runSteps, type StepsOptions } from '../test/steps.ts';
import type { LossSum } from './index.ts';

const lossSum = (model: CausalLM): LossSum => {
  return ({ labels, ...inputs }, context) => tokenLossSum(model.forward(inputs, context), labels);
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const models: Record<string, Omit<StepsOptions, 'lossSum'>> = {
  'Llama with dropout in its adapters': { loraDropout: 0.2 },
  'GPT-2 with dropout in its residual stream': { architecture: 'gpt2', targetModules: ['c_attn', 'c_fc'] },
};

test.each(Object.entries(models))(
  '%s: the same steps with less memory',
  async (_, model) => {
    const run = (recompute?: StepsOptions['recompute']) =>
      runSteps(new Runtime(gpu, { poison: true }), {
        ...model,
        lossSum,
        ...(recompute ? { recompute } : {}),
      });
    const kept = await run();
    const mlps = await run({ mlps: 2 });
    const mixed = await run({ blocks: 1, mlps: 2 });
    const blocks = await run({ blocks: 2 });
    const right = await runSteps(undefined, { ...model, lossSum });
    for (const again of [kept, mlps, mixed, blocks]) expect(farthest(again, right)).toBeLessThan(1e-4);
    expect(right.losses[0]! - right.losses.at(-1)!).toBeGreaterThan(0.1);
    // The greatest of the temporaries stays with the first of two blocks, or at the head.
    expect(mlps.arenaBytes).toBeLessThan(0.95 * kept.arenaBytes);
    expect(mixed.arenaBytes).toBeLessThanOrEqual(mlps.arenaBytes);
    expect(blocks.arenaBytes).toBeLessThan(0.8 * kept.arenaBytes);
  },
  240_000,
);
