export { type DeloraConfig, delora, deloraConfig } from './delora.ts';
export { methods } from './method.ts';
