export { Context, type ContextOptions, type Recomputation } from './context.ts';
export { Embedding, type EmbeddingDetails, type EmbeddingOptions } from './embedding.ts';
export { HostRandom, normalArray, uniformArray } from './host-random.ts';
export { LayerNorm, type NormDetails, type NormWeights } from './layer-norm.ts';
export { Linear, type LinearDetails, type LinearInputDetails, type LinearOptions } from './linear.ts';
export { Module, StateDictError } from './module.ts';
export { nearest } from './nearest.ts';
export { Parameter } from './parameter.ts';
export {
  BlockQuantizer,
  type QuantizerFormat,
  type QuantizerOptions,
} from './quantized/block-quantizer.ts';
export { fromGgmlBlocks, type GgmlFormat, isGgmlFormat } from './quantized/ggml-blocks.ts';
export { isQuantized } from './quantized/is-quantized.ts';
export {
  type QuantizedData,
  QuantizedWeight,
  QuantizedWeightError,
  type QuantizedWeightOptions,
} from './quantized/quantized-weight.ts';
export { RmsNorm, type RmsNormOptions } from './rms-norm.ts';
export { type Arrangement, type Attachment, Site } from './site.ts';
export { DropoutSeedError, dropoutDraw, trainingDropout } from './training-dropout.ts';
export { replaceWeight, storeWeightsAs, type WeightDType } from './weight-storage.ts';
