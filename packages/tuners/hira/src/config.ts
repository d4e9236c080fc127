import { field, type LayerConfig, layerFields, targetFields } from '@graftjs/peft';

/** Every key of PEFT's `HiraConfig` with its default. */
export const hiraSchema = {
  ...targetFields,
  ...layerFields,
  /** Rank of the factor; the change of W has a rank of up to r times W's. */
  r: field.count('r', 32),
  /** Chance that an element of the change's input is zero in training. */
  hiraDropout: field.chance('hira_dropout', 0),
  /** Kept for PEFT's files: how weights are stored is seen from the layers, there and here. */
  weightsAreTransposed: field.boolean('fan_in_fan_out', false),
  /** `gaussian`: A is normal with a deviation of 1 / r. False: B is random, too, and the model changes from the start. */
  initWeights: field.oneOf('init_weights', true, [true, false, 'gaussian']),
  rankPattern: field.unsupported(
    'rank_pattern',
    {},
    'PEFT 0.21.2 leaves it out of account for the first adapter of a layer and obeys it for the next, so that its files would not load',
  ),
} as const;

export type HiraConfig = LayerConfig<typeof hiraSchema, 'HIRA'>;
