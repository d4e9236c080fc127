import { attentionTargets, ConfigError, defineLayerTuner } from '@graftjs/peft';
import { gloraSchema } from './config.ts';
import { generalChange } from './layer.ts';

const method = defineLayerTuner({
  peftType: 'GLORA',
  schema: gloraSchema,
  kind: 'GLoRA changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const adapted = [...layers].map(
      ([path, layer]) => [path, generalChange(path, layer, config, random)] as const,
    );
    if (adapted.every(([, { parameters }]) => Object.keys(parameters).length === 0))
      throw new ConfigError('config_A_B', config.configAB, 'leaves nothing to train in any target');
    return { layers: new Map(adapted) };
  },
});

/** GLoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const glora = method.tuner;
/** A config of GLoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const gloraConfig = method.config;
