export type { GraloraConfig } from './config.ts';
export { methods } from './method.ts';
export { gralora, graloraConfig } from './tuner.ts';
