export { methods } from './method.ts';
export { type RandloraConfig, randlora, randloraConfig } from './randlora.ts';
