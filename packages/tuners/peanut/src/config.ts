import { activations, field, type LayerConfig, layerFields, targetFields } from '@graftjs/peft';

/** Every non-linearity that `transformers` has by that name, but those with parameters. */
const activationNames = (Object.keys(activations) as (keyof typeof activations)[]).filter(
  (name) => name !== 'leakyrelu',
);

/** Every key of PEFT's `PeanutConfig` with its default. */
export const peanutSchema = {
  ...targetFields,
  ...layerFields,
  /** Width of the network. */
  r: field.count('r', 32),
  /** Pairs of hidden layers between the first and the last. */
  depth: field.countOrZero('depth', 0),
  /** Non-linearity, by its name in `transformers`. */
  actFn: field.oneOf('act_fn', 'relu', activationNames),
  /** The change is multiplied by it. */
  scaling: field.float('scaling', 1),
  /** False: the last layer is random, too, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type PeanutConfig = LayerConfig<typeof peanutSchema, 'PEANUT'>;
