export { methods } from './method.ts';
export { type MissConfig, miss, missConfig } from './miss.ts';
