import { attentionTargets, ConfigError, defineLayerTuner, field, targetFields } from '@graftjs/peft';
import { newPolyLayer } from './layer.ts';

/** Every key of PEFT's `PolyConfig` with its default. */
export const polySchema = {
  ...targetFields,
  /** Rank of a skill. */
  r: field.count('r', 8),
  /** A new adapter changes nothing; false: it starts at random. */
  initWeights: field.boolean('init_weights', true),
  polyType: field.oneOf('poly_type', 'poly', ['poly']),
  /** Tasks: each has mixtures of its own. Passes say by `taskIds` of the `Context` which text is of which. */
  nTasks: field.count('n_tasks', 1),
  /** Skills (LoRA matrices) of a layer, which tasks share. */
  nSkills: field.count('n_skills', 4),
  /** Parts of a layer's inputs and outputs with mixtures of their own (multi-head routing). */
  nSplits: field.count('n_splits', 1),
} as const;

/**
 * Poly: the tuner to give to a `PeftModel`, and the maker of its configs.
 * @throws ConfigError
 */
export const { tuner: poly, config: polyConfig } = defineLayerTuner({
  peftType: 'POLY',
  kind: 'Poly changes linear layers',
  schema: polySchema,
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => ({
    layers: new Map(
      [...layers].map(([path, layer]) => {
        const odd = [layer.inFeatures, layer.outFeatures].find((size) => size % config.nSplits !== 0);
        if (odd !== undefined)
          throw new ConfigError(
            'n_splits',
            config.nSplits,
            `must divide the inputs and outputs of every target; ${path} has ${odd}`,
          );
        return [path, newPolyLayer(path, layer, config, random)];
      }),
    ),
  }),
});
export type PolyConfig = ReturnType<typeof polyConfig>;
