import type { Optimizer } from '@graftjs/optim';
import type { LossSum, TrainerOptions } from '@graftjs/trainer';
import { optimizerOf } from './optimizer.ts';
import type { Prepared } from './prepare.ts';

/** What a step computes: the loss, and how parameters follow from its gradients. */
export function stepOptions({
  config,
  base,
  model,
  peft,
  method,
}: Pick<Prepared, 'config' | 'base' | 'model' | 'peft' | 'method'>): {
  readonly lossSum: LossSum;
  readonly optimizer: Optimizer;
  readonly clipNorm?: number;
  readonly recompute?: NonNullable<TrainerOptions['recompute']>;
} {
  const { clipNorm, recompute } = config.training;
  const optimizer = optimizerOf(config, peft.trainableParameters());
  return {
    lossSum: base.task.lossSum(model),
    optimizer: method.optimizer?.(optimizer, peft.configOf('default')) ?? optimizer,
    ...(clipNorm > 0 ? { clipNorm } : {}),
    ...(recompute === 0
      ? {}
      : { recompute: { blocks: recompute === 'all' ? Number.POSITIVE_INFINITY : recompute } }),
  };
}
