export { type LohaConfig, loha, lohaConfig } from './loha.ts';
