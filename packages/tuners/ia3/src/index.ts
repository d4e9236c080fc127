export { type Ia3Config, ia3, ia3Config } from './ia3.ts';
export { methods } from './method.ts';
