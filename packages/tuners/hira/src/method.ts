import type { Method } from '@graftjs/peft';
import { hiraSchema } from './config.ts';
import { hira, hiraConfig } from './tuner.ts';

export const methods: readonly Method[] = [
  {
    name: 'hira',
    about: 'Multiplies weights by low-rank matrices, entry by entry',
    paper: 'Huang et al., 2025, openreview.net/forum?id=TwJrTz9cRS',
    tuner: hira,
    schema: hiraSchema,
    config: hiraConfig,
    learningRate: 4.5e-3,
  },
];
