export { methods } from './method.ts';
export { type UniloraConfig, unilora, uniloraConfig } from './unilora.ts';
