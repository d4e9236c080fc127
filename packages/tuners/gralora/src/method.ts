import type { Method } from '@graftjs/peft';
import { graloraSchema } from './config.ts';
import { gralora, graloraConfig } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: 'gralora',
    about: 'Adds a low-rank change of its own to each block of a weight',
    paper: 'Jung et al., 2025, arXiv:2505.20355',
    tuner: gralora,
    schema: graloraSchema,
    config: graloraConfig,
    learningRate: 3e-4,
  },
];
