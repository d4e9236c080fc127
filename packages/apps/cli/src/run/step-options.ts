import { type CausalLM, tokenLossSum } from '@graftjs/models';
import type { Optimizer } from '@graftjs/optim';
import type { LossSum, TrainerOptions } from '@graftjs/trainer';
import type { Config } from '../config/schema.ts';
import { optimizerOf } from './optimizer.ts';

export const lossSumOf =
  (model: CausalLM): LossSum =>
  ({ labels, ...inputs }, context) =>
    tokenLossSum(model.forward(inputs, context), labels);

/** What a step computes: the loss, and how parameters follow from its gradients. */
export function stepOptions(
  config: Config,
  model: CausalLM,
  parameters: TrainerOptions['parameters'],
): { readonly lossSum: LossSum; readonly optimizer: Optimizer; readonly clipNorm?: number } {
  return {
    lossSum: lossSumOf(model),
    optimizer: optimizerOf(config, parameters),
    ...(config.training.clipNorm > 0 ? { clipNorm: config.training.clipNorm } : {}),
  };
}
