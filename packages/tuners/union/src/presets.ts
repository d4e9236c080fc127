import { type BottleneckConfig, bottleneck, parBnConfig, seqBnConfig } from '@graftjs/bottleneck';
import {
  configUnion,
  type GatedLoraConfig,
  type GatedPrefixConfig,
  gatedLoraConfig,
  gatedPrefixConfig,
  type UnionConfig,
} from './config.ts';
import { gatedLora } from './gated-lora.ts';
import { gatedPrefix } from './gated-prefix.ts';
import { unionOf } from './union.ts';

/** Unions of AdapterHub's methods: bottleneck adapters, prefix tuning and LoRA, with gates or without. */
export const union = unionOf([bottleneck, gatedPrefix, gatedLora]);

/** Mix-and-match (He et al., 2021, arXiv:2110.04366): a prefix, and parallel adapters of the feed-forward networks. */
export const mamConfig = ({
  prefix = gatedPrefixConfig({ bottleneckSize: 800 }),
  adapter = parBnConfig(),
}: {
  readonly prefix?: GatedPrefixConfig;
  readonly adapter?: BottleneckConfig;
} = {}): UnionConfig => configUnion([prefix, adapter]);

/** UniPELT (Mao et al., 2022, arXiv:2110.07577): a prefix, adapters and LoRA, each with a learnt gate for each text. */
export const uniPeltConfig = ({
  prefix = gatedPrefixConfig({ prefixLength: 10 }),
  adapter = seqBnConfig({ reductionFactor: 16 }),
  lora = gatedLoraConfig({ r: 8, alpha: 2 }),
}: {
  readonly prefix?: GatedPrefixConfig;
  readonly adapter?: BottleneckConfig;
  readonly lora?: GatedLoraConfig;
} = {}): UnionConfig =>
  configUnion([prefix, adapter, lora].map((config) => ({ ...config, useGating: true })));
