import { commonBlockSize, type Method } from '@graftjs/peft';
import { oft, oftConfig, oftSchema } from './oft.ts';

export const methods: readonly Method[] = [
  {
    name: 'oft',
    about: 'Rotates blocks of inputs',
    paper: 'Qiu et al., 2023, arXiv:2306.07280',
    tuner: oft,
    schema: oftSchema,
    config: oftConfig,
    fit: ({ model }, { r }) => ({ oftBlockSize: r ? 0 : commonBlockSize(model, 32) }),
    learningRate: 3e-3,
  },
];
