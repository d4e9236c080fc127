export { type RandloraConfig, randlora, randloraConfig } from './randlora.ts';
