import { field, type LayerConfig, layerFields, targetFields } from '@graftjs/peft';

/** Every key of PEFT's `DeftConfig` with its default. */
export const deftSchema = {
  ...targetFields,
  ...layerFields,
  /** Columns of P; no more than the layer has outputs. */
  r: field.count('r', 8),
  /** What is taken out of W: P relu(P)ᵀ W, or Q Qᵀ W with Q R = P. */
  decompositionMethod: field.oneOf('decomposition_method', 'relu', ['relu', 'qr']),
  /** With `initWeights: false`, R starts normal with a deviation of 0.02 times this. */
  initScale: field.float('init_scale', 1),
  /** What is put in is scaled by alpha / r; null: not scaled. */
  alpha: field.optionalWholeNumber('alpha'),
  /** PaRa: nothing is put in. The adapter changes the model from the start. */
  para: field.boolean('para', false),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Chance that an element of the input of what is put in is zero in training. */
  deftDropout: field.chance('deft_dropout', 0),
  /** False: what is put in is random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'deft_only']),
} as const;

export type DeftConfig = LayerConfig<typeof deftSchema, 'DEFT'>;
