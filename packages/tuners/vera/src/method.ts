import type { Method } from '@graftjs/peft';
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
];
