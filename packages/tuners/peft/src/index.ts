export { activations, type NonLinearity, nonLinearities } from './activations.ts';
export * from './adapterhub/index.ts';
export { type AddedChange, addedChange } from './added-change.ts';
export { angles } from './angles.ts';
export { attentionTargets, blockTargets } from './attention-targets.ts';
export { commonBlockSize } from './common-block-size.ts';
export * from './composition/index.ts';
export {
  type AdapterConfig,
  type ConfigField,
  type ConfigOf,
  type ConfigSchema,
  commonFields,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  type ParsedConfig,
  PEFT_VERSION,
  parseConfig,
} from './config.ts';
export { featureDropout, moduleDropout } from './dropout.ts';
export * from './errors.ts';
export {
  type AdaptedLayers,
  chosenFields,
  defineLayerTuner,
  type LayerAdapter,
  type LayerConfig,
  type LayerMethod,
  type LayerWeights,
  layerFields,
  targetFields,
} from './layer-tuner.ts';
export { layerWeight } from './layer-weight.ts';
export {
  type Method,
  type MethodKey,
  type MethodRun,
  type MethodTools,
  type OtherForm,
  tunerOf,
} from './method.ts';
export type {
  AddOptions,
  AddReport,
  LoadOptions,
  LoadReport,
  MergeOptions,
  PeftModelOptions,
} from './options.ts';
export { type PatternValues, patternValues } from './pattern-values.ts';
export { PeftModel } from './peft-model.ts';
export * from './prompt-learning/index.ts';
export { fullMatch, suffixMatch } from './python-regex.ts';
export { parameterPlaces, place } from './replacements.ts';
export { cayley, rotateBlocks } from './rotations.ts';
export { smallestWeight } from './smallest-weight.ts';
export { BASE_PREFIX, readParameters, writeParameters } from './state.ts';
export {
  type FindTargetsOptions,
  type FoundTargets,
  findTargets,
  type TargetConfig,
  type TargetSelection,
  targetMatcher,
} from './targets.ts';
export { TorchRandom } from './torch-random.ts';
export type {
  AdapterState,
  AdapterTensor,
  AttachContext,
  AttachedAdapter,
  StateReport,
  Tuner,
} from './tuner.ts';
export { layoutOf } from './weight-layout.ts';
