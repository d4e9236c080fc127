export type { DeftConfig } from './config.ts';
export { methods } from './method.ts';
export { deft, deftConfig } from './tuner.ts';
