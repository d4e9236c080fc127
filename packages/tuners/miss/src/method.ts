import { commonBlockSize, type Method } from '@graftjs/peft';
import { miss, missConfig, missSchema } from './miss.ts';

export const methods: readonly Method[] = [
  {
    name: 'miss',
    about: 'Adds one block to all shards of a weight',
    paper: 'Kang and Yin, 2024, arXiv:2409.15371',
    tuner: miss,
    schema: missSchema,
    config: missConfig,
    fit: ({ model }) => ({ r: commonBlockSize(model, missSchema.r.initial) }),
    learningRate: 6e-4,
  },
];
