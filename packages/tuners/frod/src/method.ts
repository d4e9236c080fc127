import type { Method } from '@graftjs/peft';
import { frod, frodConfig, frodSchema } from './frod.ts';

export const methods: readonly Method[] = [
  {
    name: 'frod',
    about: 'Writes weights of one kind in a shared basis, and changes a diagonal and a few entries there',
    paper: 'FRoD, 2026, doi:10.1609/aaai.v40i31.39813',
    tuner: frod,
    schema: frodSchema,
    config: frodConfig,
    learningRate: 2e-2,
  },
];
