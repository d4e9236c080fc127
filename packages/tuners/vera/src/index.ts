export { methods } from './method.ts';
export { type VeraConfig, vera, veraConfig } from './vera.ts';
