/** The loss of a head whose logits are never in memory whole, over optimizer steps. */
import { Runtime } from '@graftjs/compiler';
import type { CausalLM } from '@graftjs/models';
import { tokenLossSum } from '@graftjs/models';
import { crossEntropy } from '@graftjs/ops';
import { concat, fill, narrow, reshape, sum } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { farthest, runSteps, type StepsOptions } from '../test/steps.ts';
import type { LossSum } from './index.ts';

const fused = (model: CausalLM): LossSum => {
  return ({ labels, ...inputs }, context) => tokenLossSum(model.forward(inputs, context), labels);
};

/** The definition: logits, and then their cross entropy. */
const plain = (model: CausalLM): LossSum => {
  return ({ labels, ...inputs }, context) => {
    const logits = model.forward(inputs, context);
    const [b, t, v] = logits.shape as [number, number, number];
    const next = concat([narrow(labels, 1, 1, t - 1), fill(-100, [b, 1], 'i32')], 1);
    return sum(crossEntropy(reshape(logits, [b * t, v]), reshape(next, [b * t])));
  };
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const heads: Record<string, Omit<StepsOptions, 'lossSum'>> = {
  'a frozen head': {},
  'a tied head, trained whole': { trainedWhole: (model) => [model.outputEmbeddings.weight] },
  'LoRA on the head': { architecture: 'gpt2', targetModules: ['lm_head', 'c_attn'] },
};

test.each(Object.entries(heads))(
  '%s: the same steps as by its definition, and as in float64',
  async (_, head) => {
    const steps = await runSteps(new Runtime(gpu, { poison: true }), { ...head, lossSum: fused });
    const defined = await runSteps(new Runtime(gpu, { poison: true }), {
      ...head,
      lossSum: plain,
    });
    const right = await runSteps(undefined, { ...head, lossSum: plain });
    expect(right.losses[0]! - right.losses.at(-1)!).toBeGreaterThan(0.1);
    expect(farthest(steps, defined)).toBeLessThan(1e-4);
    expect(farthest(steps, right)).toBeLessThan(1e-4);
  },
  120_000,
);
