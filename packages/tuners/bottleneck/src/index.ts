export type { AdapterHubModel, NonLinearity } from '@graftjs/peft';
export { fromAdapterHub, fusionFromAdapterHub, fusionToAdapterHub, toAdapterHub } from './adapterhub.ts';
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
export { adapterFusion, FusedAdapterError, fusionRegularization } from './fusion.ts';
export {
  type AdapterFusionConfig,
  type AdapterFusionOptions,
  adapterFusionConfig,
  adapterFusionConfigToJson,
  parseAdapterFusionConfig,
  staticAdapterFusionConfig,
} from './fusion-config.ts';
export { methods } from './method.ts';
