import type { Method } from '@graftjs/peft';
import { lokr, lokrConfig, lokrSchema } from './lokr.ts';

export const methods: readonly Method[] = [
  {
    name: 'lokr',
    about: 'Adds a Kronecker product',
    paper: 'Yeh et al., 2023, arXiv:2309.14859',
    tuner: lokr,
    schema: lokrSchema,
    config: lokrConfig,
    learningRate: 1e-2,
  },
];
