export { type VeraConfig, vera, veraConfig } from './vera.ts';
