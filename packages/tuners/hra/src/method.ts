import type { Method } from '@graftjs/peft';
import { hra, hraConfig, hraSchema } from './hra.ts';

export const methods: readonly Method[] = [
  {
    name: 'hra',
    about: 'Reflects inputs by a few learnt vectors',
    paper: 'Yuan, Liu and Xu, 2024, arXiv:2405.17484',
    tuner: hra,
    schema: hraSchema,
    config: hraConfig,
    learningRate: 0.001,
  },
];
