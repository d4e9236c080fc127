export { type HraConfig, hra, hraConfig } from './hra.ts';
