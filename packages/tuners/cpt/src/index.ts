export { type CptConfig, type CptOptions, cptConfig, cptSchema } from './config.ts';
export { cpt } from './cpt.ts';
export { cptLabelCount, cptLossSum } from './loss.ts';
export { methods } from './method.ts';
