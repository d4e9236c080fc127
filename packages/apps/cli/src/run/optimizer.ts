import type { Parameter } from '@graftjs/nn';
import { AdamW, loraPlus, type Optimizer, SGD } from '@graftjs/optim';
import type { Config } from '../config/schema.ts';

/** The optimizer that a configuration asks for. */
export function optimizerOf({ training }: Config, parameters: ReadonlyMap<string, Parameter>): Optimizer {
  const { learningRate, weightDecay, loraplusRatio: ratio } = training;
  const groups = ratio === undefined ? {} : { settingsOf: loraPlus({ ratio, learningRate, weightDecay }) };
  if (training.optimizer === 'sgd') {
    const { momentum, nesterov } = training;
    return new SGD(parameters, { momentum, nesterov, weightDecay, ...groups });
  }
  const { beta1, beta2, epsilon: eps } = training;
  return new AdamW(parameters, { betas: [beta1, beta2], eps, weightDecay, ...groups });
}
