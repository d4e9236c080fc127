import type { Method } from '@graftjs/peft';
import { loha, lohaConfig, lohaSchema } from './loha.ts';

export const methods: readonly Method[] = [
  {
    name: 'loha',
    about: 'Adds the entry-wise product of two low-rank matrices',
    paper: 'Hyeon-Woo et al., 2021, arXiv:2108.06098',
    tuner: loha,
    schema: lohaSchema,
    config: lohaConfig,
    learningRate: 0.001,
  },
];
