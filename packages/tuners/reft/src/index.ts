export type { AdapterHubModel } from '@graftjs/peft';
export { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
export {
  diReftConfig,
  loReftConfig,
  noReftConfig,
  parseReftConfig,
  type ReftConfig,
  type ReftOptions,
  reftConfigToJson,
} from './config.ts';
export { methods } from './method.ts';
export { reft } from './reft.ts';
