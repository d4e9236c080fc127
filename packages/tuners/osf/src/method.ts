import type { Method } from '@graftjs/peft';
import { osf, osfConfig, osfSchema } from './osf.ts';

export const methods: readonly Method[] = [
  {
    name: 'osf',
    about: 'Trains the small singular directions of each weight, orthogonal to the large ones',
    paper: 'Nayak et al., 2025, arXiv:2504.07097',
    tuner: osf,
    schema: osfSchema,
    config: osfConfig,
    learningRate: 1e-3,
  },
];
