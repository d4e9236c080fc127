import type { Method } from '@graftjs/peft';
import { adalora, adaloraConfig } from './adalora.ts';
import { type AdaloraConfig, adaloraSchema } from './config.ts';
import { RankScheduledOptimizer } from './rank-schedule.ts';

export const methods: readonly Method[] = [
  {
    name: 'adalora',
    about: 'Adds a low-rank matrix in SVD form, and takes ranks away where they matter least',
    paper: 'Zhang et al., 2023, arXiv:2303.10512',
    tuner: adalora,
    schema: adaloraSchema,
    config: adaloraConfig,
    // ranks fall between the first tenth of the training and its last fifth
    fit: ({ totalSteps }) => ({
      totalStep: totalSteps,
      tinit: Math.floor(totalSteps / 10),
      tfinal: Math.floor(totalSteps / 5),
    }),
    optimizer: (inner, config) => new RankScheduledOptimizer(inner, config as AdaloraConfig),
    learningRate: 1e-2,
  },
];
