import { chosenFields, field, type LayerConfig } from '@graftjs/peft';

/** Every key of PEFT's `GloraConfig` with its default. */
export const gloraSchema = {
  ...chosenFields,
  /** Rank of what is `lora`. */
  r: field.count('r', 8),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'glora_only']),
  /** How A and B `[out, in]` are made: of low rank, one number a row, one number, or not at all. */
  configAB: field.oneOf('config_A_B', 'lora', ['lora', 'vector', 'constant', 'none']),
  /** How C `[in, 1]` is made. */
  configC: field.oneOf('config_C', 'lora', ['lora', 'vector', 'none']),
  /** How D and E `[out]` are made. */
  configDE: field.oneOf('config_D_E', 'constant', ['vector', 'constant', 'none']),
  /** False: all is random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type GloraConfig = LayerConfig<typeof gloraSchema, 'GLORA'>;
