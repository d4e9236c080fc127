export { methods } from './method.ts';
export { type ShiraConfig, shira, shiraConfig } from './shira.ts';
