import type { Method } from '@graftjs/peft';
import { tinylora, tinyloraConfig, tinyloraSchema } from './tinylora.ts';

export const methods: readonly Method[] = [
  {
    name: 'tinylora',
    about: 'A few numbers steer the largest directions of each weight',
    paper: 'TinyLoRA, 2026, arXiv:2602.04118',
    tuner: tinylora,
    schema: tinyloraSchema,
    config: tinyloraConfig,
    learningRate: 5e-3,
  },
];
