export { type BoftConfig, boft, boftConfig } from './boft.ts';
export { methods } from './method.ts';
