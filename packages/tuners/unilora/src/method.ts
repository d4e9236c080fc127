import type { Method } from '@graftjs/peft';
import { unilora, uniloraConfig, uniloraSchema } from './unilora.ts';

export const methods: readonly Method[] = [
  {
    name: 'unilora',
    about: 'Low-rank matrices of all layers out of one short vector',
    paper: 'Li et al., 2025, arXiv:2506.00799',
    tuner: unilora,
    schema: uniloraSchema,
    config: uniloraConfig,
    learningRate: 0.1,
  },
];
