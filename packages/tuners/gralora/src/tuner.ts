import { attentionTargets, ConfigError, defineLayerTuner } from '@graftjs/peft';
import { graloraSchema } from './config.ts';
import { changedBlocks } from './layer.ts';

const method = defineLayerTuner({
  peftType: 'GRALORA',
  schema: graloraSchema,
  kind: 'GraLoRA changes linear layers',
  defaultTargets: attentionTargets,
  check: ({ r, graloraK }) => {
    if (r % graloraK !== 0) throw new ConfigError('r', r, `must be a multiple of gralora_k = ${graloraK}`);
  },
  adapt: (config, layers, { random }) => ({
    layers: new Map([...layers].map(([path, layer]) => [path, changedBlocks(path, layer, config, random)])),
  }),
});

/** GraLoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const gralora = method.tuner;
/** A config of GraLoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const graloraConfig = method.config;
