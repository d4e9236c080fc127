import { chosenFields, field, type LayerConfig, layerFields } from '@graftjs/peft';

/** Every key of PEFT's `GraloraConfig` with its default. */
export const graloraSchema = {
  ...chosenFields,
  ...layerFields,
  /** Columns of A and rows of B in each of the k parts; a block of W's change has the rank r / k. */
  r: field.count('r', 32),
  /** Rank of a plain LoRA beside the blocks; 0: none. */
  hybridR: field.countOrZero('hybrid_r', 0),
  /** The change is scaled by alpha / (r + hybridR). */
  alpha: field.number('alpha', 64),
  /** Chance that an element of the change's input is zero in training. */
  graloraDropout: field.chance('gralora_dropout', 0),
  /** k: W is cut into k x k blocks. It divides r and both sizes of every target. */
  graloraK: field.count('gralora_k', 2),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'gralora_only']),
  /** False: B is random, too, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type GraloraConfig = LayerConfig<typeof graloraSchema, 'GRALORA'>;
