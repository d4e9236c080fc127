import type { Method } from '@graftjs/peft';
import { type CptOptions, cptConfig, cptSchema } from './config.ts';
import { cpt } from './cpt.ts';

export const methods: readonly Method[] = [
  {
    name: 'cpt',
    about: 'Examples in front of the text, whose embeddings are refined within bounds',
    paper: 'Blau et al., 2024, arXiv:2410.17222',
    tuner: cpt,
    schema: cptSchema,
    config: (options) => cptConfig(options as CptOptions),
    learningRate: 1e-3,
    virtualTokens: true,
  },
];
