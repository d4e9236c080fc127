export { methods } from './method.ts';
export { type VbLoraConfig, vbLora, vbLoraConfig } from './vb-lora.ts';
