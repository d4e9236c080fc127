export { type LokrConfig, lokr, lokrConfig } from './lokr.ts';
export { methods } from './method.ts';
