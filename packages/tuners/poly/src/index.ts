export { methods } from './method.ts';
export { type PolyConfig, poly, polyConfig } from './poly.ts';
