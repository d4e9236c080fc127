export { methods } from './method.ts';
export { type SupertuningConfig, supertuning, supertuningConfig } from './supertuning.ts';
