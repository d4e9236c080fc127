export { type LohaConfig, loha, lohaConfig } from './loha.ts';
export { methods } from './method.ts';
