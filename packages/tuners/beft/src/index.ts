export type { BeftConfig } from './config.ts';
export { methods } from './method.ts';
export { beft, beftConfig } from './tuner.ts';
