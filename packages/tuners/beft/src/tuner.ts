import { defineLayerTuner } from '@graftjs/peft';
import { beftSchema } from './config.ts';
import { valueTargets } from './default-targets.ts';
import { addedBias } from './layer.ts';

const method = defineLayerTuner({
  peftType: 'BEFT',
  schema: beftSchema,
  kind: 'BEFT adds to outputs of linear layers',
  defaultTargets: valueTargets,
  adapt: (config, layers, { random }) => {
    const bare = [...layers].filter(([, { bias }]) => !bias).map(([path]) => path);
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, addedBias(path, layer, config, random)])),
      warnings:
        bare.length > 0
          ? [
              `${bare[0]}${bare.length > 1 ? ` and ${bare.length - 1} more` : ''} has no bias: not to be merged`,
            ]
          : [],
    };
  },
});

/** BEFT for linear layers: give it to a `PeftModel` among its tuners. */
export const beft = method.tuner;
/** A config of BEFT: PEFT's defaults and what the options say. @throws ConfigError */
export const beftConfig = method.config;
