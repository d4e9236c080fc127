export type { PeanutConfig } from './config.ts';
export { methods } from './method.ts';
export { peanut, peanutConfig } from './tuner.ts';
