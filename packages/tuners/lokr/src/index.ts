export { type LokrConfig, lokr, lokrConfig } from './lokr.ts';
