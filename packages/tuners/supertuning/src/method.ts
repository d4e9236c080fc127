import { type Method, smallestWeight } from '@graftjs/peft';
import { supertuning, supertuningConfig, supertuningSchema } from './supertuning.ts';

export const methods: readonly Method[] = [
  {
    name: 'supertuning',
    about: 'Trains the largest entries of each weight, with a rank a low-rank change beside them',
    paper: 'Super-Tuning, 2026, arXiv:2607.09287',
    tuner: supertuning,
    schema: supertuningSchema,
    config: supertuningConfig,
    // At least one entry of the smallest weight.
    fit: ({ model }) => ({
      sparsity: Math.min(supertuningSchema.sparsity.initial, 1 - 1 / smallestWeight(model)),
    }),
    learningRate: 1e-2,
  },
];
