import { attentionTargets, defineLayerTuner } from '@graftjs/peft';
import { deftSchema } from './config.ts';
import { replacedSubspace } from './layer.ts';

const method = defineLayerTuner({
  peftType: 'DEFT',
  schema: deftSchema,
  kind: 'DEFT changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random, loading }) => {
    const made = [...layers].map(
      ([path, layer]) => [path, replacedSubspace(path, layer, config, random)] as const,
    );
    return {
      layers: new Map(made.map(([path, { adapter }]) => [path, adapter])),
      initialValues: made.flatMap(([, { initialValues }]) => initialValues),
      warnings:
        config.para && !loading
          ? ['para takes a subspace out of weights: the new adapter changes the model']
          : [],
    };
  },
});

/** DEFT for linear layers: give it to a `PeftModel` among its tuners. */
export const deft = method.tuner;
/** A config of DEFT: PEFT's defaults and what the options say. @throws ConfigError */
export const deftConfig = method.config;
