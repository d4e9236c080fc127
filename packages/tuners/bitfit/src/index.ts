export { type BitfitConfig, bitfit, bitfitConfig } from './bitfit.ts';
export { methods } from './method.ts';
