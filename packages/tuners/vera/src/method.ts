import type { Method } from '@graftjs/peft';
import { pvera, pveraConfig, pveraSchema } from './pvera.ts';
import { vera, veraConfig, veraSchema } from './vera.ts';

export const methods: readonly Method[] = [
  {
    name: 'vera',
    about: 'Scales random low-rank matrices that all layers share',
    paper: 'Kopiczko et al., 2023, arXiv:2310.11454',
    tuner: vera,
    schema: veraSchema,
    config: veraConfig,
    learningRate: 3e-2,
  },
  {
    name: 'pvera',
    about: 'VeRA whose inner values are drawn from a learnt distribution in training',
    paper: 'PVeRA, 2025, arXiv:2512.07703',
    tuner: pvera,
    schema: pveraSchema,
    config: pveraConfig,
    learningRate: 0.1,
  },
];
