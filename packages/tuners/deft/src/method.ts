import type { Method } from '@graftjs/peft';
import { deftSchema } from './config.ts';
import { deft, deftConfig } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: 'deft',
    about: 'Takes a subspace out of weights and puts something learnt in its place',
    paper: 'Kumar et al., 2025, arXiv:2509.22793',
    tuner: deft,
    schema: deftSchema,
    config: deftConfig,
    learningRate: 1e-3,
  },
];
