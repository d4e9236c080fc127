import type { Method } from '@graftjs/peft';
import { peanutSchema } from './config.ts';
import { peanut, peanutConfig } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: 'peanut',
    about: 'Changes weights by what a small network makes of them',
    paper: 'Zhong et al., 2024, arXiv:2410.01870',
    tuner: peanut,
    schema: peanutSchema,
    config: peanutConfig,
    learningRate: 1e-3,
  },
];
