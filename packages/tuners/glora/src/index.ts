export type { GloraConfig } from './config.ts';
export { methods } from './method.ts';
export { glora, gloraConfig } from './tuner.ts';
