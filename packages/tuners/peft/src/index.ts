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
export * from './errors.ts';
export {
  type AddOptions,
  type AddReport,
  type LoadOptions,
  type LoadReport,
  type MergeOptions,
  PeftModel,
  type PeftModelOptions,
} from './peft-model.ts';
export { fullMatch, suffixMatch } from './python-regex.ts';
export { parameterPlaces, place } from './replacements.ts';
export { BASE_PREFIX, readParameters, writeParameters } from './state.ts';
export {
  type FindTargetsOptions,
  type FoundTargets,
  findTargets,
  type TargetConfig,
  type TargetSelection,
  targetMatcher,
} from './targets.ts';
export type {
  AdapterState,
  AdapterTensor,
  AttachContext,
  AttachedAdapter,
  StateReport,
  Tuner,
} from './tuner.ts';
