import type { Method } from '@graftjs/peft';
import { ia3, ia3Config, ia3Schema } from './ia3.ts';

export const methods: readonly Method[] = [
  {
    name: 'ia3',
    about: 'Scales keys, values and the inputs of feed-forward networks',
    paper: 'Liu et al., 2022, arXiv:2205.05638',
    tuner: ia3,
    schema: ia3Schema,
    config: ia3Config,
    learningRate: 1e-2,
  },
];
