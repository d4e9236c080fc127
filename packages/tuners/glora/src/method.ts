import type { Method } from '@graftjs/peft';
import { gloraSchema } from './config.ts';
import { glora, gloraConfig } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: 'glora',
    about: 'Scales and shifts weights and biases',
    paper: 'Chavan et al., 2023, arXiv:2306.07967',
    tuner: glora,
    schema: gloraSchema,
    config: gloraConfig,
    learningRate: 1e-3,
  },
];
