import type { Method } from '@graftjs/peft';
import { poly, polyConfig, polySchema } from './poly.ts';

export const methods: readonly Method[] = [
  {
    name: 'poly',
    about: 'LoRA skills that tasks share, each with its own mixture of them',
    paper: 'Ponti et al., 2022, arXiv:2202.13914',
    tuner: poly,
    schema: polySchema,
    config: polyConfig,
    learningRate: 1e-3,
  },
];
