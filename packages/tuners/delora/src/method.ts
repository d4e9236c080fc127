import type { Method } from '@graftjs/peft';
import { delora, deloraConfig, deloraSchema } from './delora.ts';

export const methods: readonly Method[] = [
  {
    name: 'delora',
    about: 'Adds a normalized low-rank matrix of learnt size',
    paper: 'Bini, Girrbach and Akata, 2025, arXiv:2503.18225',
    tuner: delora,
    schema: deloraSchema,
    config: deloraConfig,
    learningRate: 0.001,
  },
];
