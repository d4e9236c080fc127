import type { Method } from '@graftjs/peft';
import { beftSchema } from './config.ts';
import { beft, beftConfig } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: 'beft',
    about: 'Adds a bias to the projections of values',
    paper: 'Huang, Balashankar and Aminifar, 2025, arXiv:2509.15974',
    tuner: beft,
    schema: beftSchema,
    config: beftConfig,
    learningRate: 1e-2,
  },
];
