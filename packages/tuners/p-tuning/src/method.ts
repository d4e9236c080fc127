import type { Method } from '@graftjs/peft';
import { type PTuningOptions, pTuningConfig, pTuningSchema } from './config.ts';
import { pTuning } from './p-tuning.ts';

export const methods: readonly Method[] = [
  {
    name: 'p-tuning',
    about: 'Virtual tokens from a trained network',
    paper: 'Liu et al., 2021, arXiv:2103.10385',
    tuner: pTuning,
    schema: pTuningSchema,
    config: (options) => pTuningConfig(options as unknown as PTuningOptions),
    defaults: { numVirtualTokens: 20 },
    learningRate: 5e-3,
    virtualTokens: true,
  },
];
