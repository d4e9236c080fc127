import type { Method } from '@graftjs/peft';
import { shira, shiraConfig, shiraSchema } from './shira.ts';

export const methods: readonly Method[] = [
  {
    name: 'shira',
    about: 'Trains a few entries of each weight',
    paper: 'Bhardwaj et al., 2024, arXiv:2406.13175',
    tuner: shira,
    schema: shiraSchema,
    config: shiraConfig,
    learningRate: 0.001,
  },
];
