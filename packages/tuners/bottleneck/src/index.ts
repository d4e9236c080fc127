export type { NonLinearity } from './activations.ts';
export { type AdapterHubModel, fromAdapterHub, toAdapterHub } from './adapterhub.ts';
export { blockNorms } from './block-norms.ts';
export { bottleneck } from './bottleneck.ts';
export {
  adapterPlusConfig,
  type BottleneckConfig,
  type BottleneckOptions,
  bottleneckConfigToJson,
  compacterConfig,
  compacterPlusPlusConfig,
  doubleSeqBnConfig,
  doubleSeqBnInvConfig,
  parBnConfig,
  parseBottleneckConfig,
  seqBnConfig,
  seqBnInvConfig,
} from './config.ts';
export { methods } from './method.ts';
