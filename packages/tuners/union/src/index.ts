export { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
export {
  configUnion,
  type GatedLoraConfig,
  type GatedLoraOptions,
  type GatedPrefixConfig,
  type GatedPrefixOptions,
  gatedLoraConfig,
  gatedPrefixConfig,
  type UnionConfig,
} from './config.ts';
export { gatedLora } from './gated-lora.ts';
export { gatedPrefix } from './gated-prefix.ts';
export { methods } from './method.ts';
export { mamConfig, union, uniPeltConfig } from './presets.ts';
export { unionOf } from './union.ts';
