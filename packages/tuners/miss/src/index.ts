export { type MissConfig, miss, missConfig } from './miss.ts';
