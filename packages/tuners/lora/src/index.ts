export {
  type LoraConfig,
  type LoraInitialization,
  type LoraOptions,
  loraConfig,
  loraSchema,
} from './config.ts';
export { DoraLayer, rowNorms } from './dora.ts';
export { LoraLayer, type LoraLayerOptions } from './layer.ts';
export { lora } from './lora.ts';
