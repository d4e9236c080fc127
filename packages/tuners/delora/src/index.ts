export { type DeloraConfig, delora, deloraConfig } from './delora.ts';
