export {
  type LoraConfig,
  type LoraInitialization,
  type LoraOptions,
  loraConfig,
  loraSchema,
} from './config.ts';
export { DoraLayer, rowNorms } from './dora.ts';
export { DoraEmbedding, embeddings, LoraEmbedding } from './embedding.ts';
export { LoraLayer, type LoraLayerOptions, type LoraParameter, type LoraPart } from './layer.ts';
export { LoraAdapter, type LoraExtension, lora, loraWith } from './lora.ts';
