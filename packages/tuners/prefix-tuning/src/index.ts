export {
  type CartridgeConfig,
  type CartridgeOptions,
  cartridge,
  cartridgeConfig,
  cartridgeSchema,
} from './cartridge.ts';
export {
  type PrefixTuningConfig,
  type PrefixTuningOptions,
  prefixTuningConfig,
  prefixTuningSchema,
} from './config.ts';
export { methods } from './method.ts';
export { PrefixProjection } from './prefix.ts';
export { prefixTuning } from './prefix-tuning.ts';
export { startFromTokens } from './start-from-tokens.ts';
