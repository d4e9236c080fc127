export { methods } from './method.ts';
export { type TinyloraConfig, tinylora, tinyloraConfig } from './tinylora.ts';
