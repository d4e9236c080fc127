export { gelu, geluTanh, swiglu } from './activations.ts';
export { type AdamwOptions, type AdamwStep, adamw, adamwOp, adamwStepValues } from './adamw.ts';
export { type AdamwPart, adamwPack, adamwPackOp } from './adamw-pack.ts';
export { argmax, argmaxOp } from './argmax.ts';
export { type AttentionOptions, attention, attentionGradientOp, attentionOp } from './attention/attention.ts';
export { cacheWrite, cacheWriteOp } from './cache-write.ts';
export { type OpCase, type OpCaseInput, opCases } from './cases.ts';
export {
  type CrossEntropyOptions,
  crossEntropy,
  crossEntropyGradientOp,
  crossEntropyOp,
} from './cross-entropy.ts';
export { DropoutError, dropout, dropoutOp } from './dropout.ts';
export { embedding } from './embedding.ts';
export { clipScale, globalNorm } from './gradient-norm.ts';
export { inverse, inverseOp } from './inverse.ts';
export { finite, isFiniteOp } from './is-finite.ts';
export { type LayerNormOptions, layerNorm, layerNormGradientOp, layerNormOp } from './layer-norm.ts';
export {
  type LinearCrossEntropyOptions,
  linearCrossEntropy,
  linearCrossEntropyOp,
} from './linear-cross-entropy.ts';
export { addPack, addPackOp, zerosPack, zerosPackOp } from './pack-sums.ts';
export {
  blockOf,
  type DequantizeOptions,
  dequantize,
  dequantizeOp,
  type QuantizedTensors,
} from './quantized/dequantize.ts';
export {
  fp4Table,
  nestedBlock,
  nf4Table,
  type QuantizedForm,
  type QuantizedFormat,
  type QuantizedLayout,
  quantizedForms,
  quantizedLayout,
} from './quantized/formats.ts';
export { type RmsNormOptions, rmsNorm, rmsNormGradientOp, rmsNormOp } from './rms-norm.ts';
export { rotary, rotaryOp } from './rotary.ts';
export { softmax, softmaxOp } from './softmax.ts';
export { squaredNorm, squaredNormOp } from './squared-norm.ts';
