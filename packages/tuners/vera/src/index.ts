export { methods } from './method.ts';
export { type PveraConfig, pvera, pveraConfig } from './pvera.ts';
export { type VeraConfig, vera, veraConfig } from './vera.ts';
