import { attentionTargets, defineLayerTuner } from '@graftjs/peft';
import { peanutSchema } from './config.ts';
import { weightAwareChange } from './layer.ts';

const method = defineLayerTuner({
  peftType: 'PEANUT',
  schema: peanutSchema,
  kind: 'PEANuT changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => ({
    layers: new Map(
      [...layers].map(([path, layer]) => [path, weightAwareChange(path, layer, config, random)]),
    ),
  }),
});

/** PEANuT for linear layers: give it to a `PeftModel` among its tuners. */
export const peanut = method.tuner;
/** A config of PEANuT: PEFT's defaults and what the options say. @throws ConfigError */
export const peanutConfig = method.config;
