import { commonBlockSize, type Method } from '@graftjs/peft';
import { road, roadConfig, roadSchema } from './road.ts';

export const methods: readonly Method[] = [
  {
    name: 'road',
    about: 'Rotates and scales pairs of outputs',
    paper: 'Liao and Monz, 2024, arXiv:2409.00119',
    tuner: road,
    schema: roadSchema,
    config: roadConfig,
    fit: ({ model }) => ({ groupSize: commonBlockSize(model, 64) }),
    learningRate: 1e-2,
  },
];
