import { attentionTargets, defineLayerTuner } from '@graftjs/peft';
import { hiraSchema } from './config.ts';
import { weightedChange } from './layer.ts';

const method = defineLayerTuner({
  peftType: 'HIRA',
  schema: hiraSchema,
  kind: 'HiRA changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => ({
    layers: new Map([...layers].map(([path, layer]) => [path, weightedChange(path, layer, config, random)])),
  }),
});

/** HiRA for linear layers: give it to a `PeftModel` among its tuners. */
export const hira = method.tuner;
/** A config of HiRA: PEFT's defaults and what the options say. @throws ConfigError, UnsupportedConfigError */
export const hiraConfig = method.config;
