import type { Method } from '@graftjs/peft';
import { lnTuning, lnTuningConfig, lnTuningSchema } from './ln-tuning.ts';

export const methods: readonly Method[] = [
  {
    name: 'ln-tuning',
    about: 'Trains the weights of layer norms',
    paper: 'Zhao et al., 2023, arXiv:2312.11420',
    tuner: lnTuning,
    schema: lnTuningSchema,
    config: lnTuningConfig,
    learningRate: 3e-3,
  },
];
