export { ActivatedLayer, activated } from './activated/activated.ts';
export type { CombinationOptions, CombinationType } from './combination/combination-type.ts';
export { combineAdapters } from './combination/combine-adapters.ts';
export type { MajoritySignMethod } from './combination/task-arithmetic.ts';
export {
  type LoraConfig,
  type LoraInitialization,
  type LoraOptions,
  loraConfig,
  loraSchema,
  startsFromBase,
  startsFromData,
} from './config.ts';
export { DoraLayer, rowNorms } from './dora.ts';
export { DoraEmbedding, embeddings, LoraEmbedding } from './embedding.ts';
export { type HotSwapReport, hotSwap } from './hot-swap.ts';
export {
  LoraLayer,
  type LoraLayerOptions,
  type LoraParameter,
  type LoraPart,
  type LoraStart,
  type SubtractedStart,
} from './layer.ts';
export { LoraAdapter, type LoraBeside, type LoraExtension, lora, loraWith } from './lora.ts';
export { LoraFa } from './lora-fa.ts';
export { methods } from './method.ts';
export { type MixConfig, mixAdapters, mixedIds } from './mixing/mix-adapters.ts';
export { MixedBatchError } from './mixing/mixed-layers.ts';
