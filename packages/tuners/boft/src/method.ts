import { commonBlockSize, type Method } from '@graftjs/peft';
import { boft, boftConfig, boftSchema } from './boft.ts';

export const methods: readonly Method[] = [
  {
    name: 'boft',
    about: 'Rotates inputs by a product of butterfly factors',
    paper: 'Liu et al., 2023, arXiv:2311.06243',
    tuner: boft,
    schema: boftSchema,
    config: boftConfig,
    fit: ({ model }, { boftBlockNum }) => ({ boftBlockSize: boftBlockNum ? 0 : commonBlockSize(model, 4) }),
    learningRate: 1e-3,
  },
];
