import type { Method } from '@graftjs/peft';
import { type CartridgeOptions, cartridge, cartridgeConfig, cartridgeSchema } from './cartridge.ts';
import { type PrefixTuningOptions, prefixTuningConfig, prefixTuningSchema } from './config.ts';
import { prefixTuning } from './prefix-tuning.ts';

export const methods: readonly Method[] = [
  {
    name: 'prefix-tuning',
    about: "Keys and values in front of every layer's",
    paper: 'Li and Liang, 2021, arXiv:2101.00190',
    tuner: prefixTuning,
    schema: prefixTuningSchema,
    config: (options) => prefixTuningConfig(options as unknown as PrefixTuningOptions),
    defaults: { numVirtualTokens: 20 },
    learningRate: 0.05,
  },
  {
    name: 'cartridge',
    about: "Keys and values in front of every layer's, the first ones frozen",
    paper: 'Eyuboglu et al., 2025, arXiv:2506.06266',
    tuner: cartridge,
    schema: cartridgeSchema,
    config: (options) => cartridgeConfig(options as unknown as CartridgeOptions),
    defaults: { numVirtualTokens: 20 },
    learningRate: 0.05,
  },
];
