import { type CausalLM, tokenLossSum } from '@graftjs/models';
import { AdamW, type Optimizer } from '@graftjs/optim';
import type { LossSum, TrainerOptions } from '@graftjs/trainer';
import type { Config } from '../config/schema.ts';

export const lossSumOf =
  (model: CausalLM): LossSum =>
  ({ labels, ...inputs }, context) =>
    tokenLossSum(model.forward(inputs, context), labels);

/** What a step computes: the loss, and how parameters follow from its gradients. */
export function stepOptions(
  { training }: Config,
  model: CausalLM,
  parameters: TrainerOptions['parameters'],
): { readonly lossSum: LossSum; readonly optimizer: Optimizer; readonly clipNorm?: number } {
  return {
    lossSum: lossSumOf(model),
    optimizer: new AdamW(parameters, {
      betas: [training.beta1, training.beta2],
      eps: training.epsilon,
      weightDecay: training.weightDecay,
    }),
    ...(training.clipNorm > 0 ? { clipNorm: training.clipNorm } : {}),
  };
}
