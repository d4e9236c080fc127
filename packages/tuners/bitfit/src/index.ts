export { type BitfitConfig, bitfit, bitfitConfig } from './bitfit.ts';
