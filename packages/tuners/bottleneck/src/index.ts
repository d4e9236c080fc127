export { type AdapterHubModel, fromAdapterHub, toAdapterHub } from './adapterhub.ts';
export { bottleneck } from './bottleneck.ts';
export {
  type BottleneckConfig,
  type BottleneckOptions,
  bottleneckConfigToJson,
  doubleSeqBnConfig,
  type NonLinearity,
  parBnConfig,
  parseBottleneckConfig,
  seqBnConfig,
} from './config.ts';
export { methods } from './method.ts';
