export type { HiraConfig } from './config.ts';
export { methods } from './method.ts';
export { hira, hiraConfig } from './tuner.ts';
