import { type Method, smallestWeight } from '@graftjs/peft';
import { waveft, waveftConfig, waveftSchema } from './waveft.ts';

export const methods: readonly Method[] = [
  {
    name: 'waveft',
    about: 'Adds the inverse wavelet transform of few coefficients',
    paper: 'Bilican et al., 2025, arXiv:2505.12532',
    tuner: waveft,
    schema: waveftSchema,
    config: waveftConfig,
    fit: ({ model }) => ({ nFrequency: Math.min(waveftSchema.nFrequency.initial, smallestWeight(model)) }),
    learningRate: 0.001,
  },
];
