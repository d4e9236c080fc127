import { commonBlockSize, type Method } from '@graftjs/peft';
import { c3a, c3aConfig, c3aSchema } from './c3a.ts';

export const methods: readonly Method[] = [
  {
    name: 'c3a',
    about: 'Adds a matrix of circulant blocks',
    paper: 'Chen et al., 2024, arXiv:2407.19342',
    tuner: c3a,
    schema: c3aSchema,
    config: c3aConfig,
    defaults: { initWeights: true },
    fit: ({ model }) => ({ blockSize: commonBlockSize(model, 256) }),
    learningRate: 0.1,
  },
];
