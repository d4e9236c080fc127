import { chosenFields, field, type LayerConfig } from '@graftjs/peft';

/** Every key of PEFT's `BeftConfig` with its default. */
export const beftSchema = {
  ...chosenFields,
  /** False: the bias is random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type BeftConfig = LayerConfig<typeof beftSchema, 'BEFT'>;
