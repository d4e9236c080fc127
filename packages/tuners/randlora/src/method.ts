import type { Method } from '@graftjs/peft';
import { randlora, randloraConfig, randloraSchema } from './randlora.ts';

export const methods: readonly Method[] = [
  {
    name: 'randlora',
    about: 'Adds a learnt sum of random low-rank matrices, of full rank',
    paper: 'Albert et al., 2025, arXiv:2502.00987',
    tuner: randlora,
    schema: randloraSchema,
    config: randloraConfig,
    learningRate: 0.001,
  },
];
