import type { Method } from '@graftjs/peft';
import { bitfit, bitfitConfig, bitfitSchema } from './bitfit.ts';

export const methods: readonly Method[] = [
  {
    name: 'bitfit',
    about: 'Trains biases alone',
    paper: 'Ben-Zaken et al., 2021, arXiv:2106.10199',
    tuner: bitfit,
    schema: bitfitSchema,
    config: bitfitConfig,
    learningRate: 0.001,
  },
];
