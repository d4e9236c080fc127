export { type C3aConfig, c3a, c3aConfig } from './c3a.ts';
export { methods } from './method.ts';
