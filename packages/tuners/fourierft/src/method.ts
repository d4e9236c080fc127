import { type Method, smallestWeight } from '@graftjs/peft';
import { fourierft, fourierftConfig, fourierftSchema } from './fourierft.ts';

export const methods: readonly Method[] = [
  {
    name: 'fourierft',
    about: 'Adds the inverse Fourier transform of few coefficients',
    paper: 'Gao et al., 2024, arXiv:2405.03003',
    tuner: fourierft,
    schema: fourierftSchema,
    config: fourierftConfig,
    defaults: { initWeights: true },
    fit: ({ model }) => ({ nFrequency: Math.min(fourierftSchema.nFrequency.initial, smallestWeight(model)) }),
    learningRate: 0.03,
  },
];
