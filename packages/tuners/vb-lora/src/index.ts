export { type VbLoraConfig, vbLora, vbLoraConfig } from './vb-lora.ts';
