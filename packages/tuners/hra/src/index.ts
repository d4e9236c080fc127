export { type HraConfig, hra, hraConfig } from './hra.ts';
export { methods } from './method.ts';
