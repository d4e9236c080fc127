import type { JsonObject } from '@graftjs/checkpoint';
import {
  type ConfigOf,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  optionalCount,
  type ParsedConfig,
  parseConfig,
  promptFields,
} from '@graftjs/peft';

/** Every key of PEFT's `PromptEncoderConfig` with its default. */
export const pTuningSchema = {
  ...promptFields,
  encoderReparameterizationType: field.oneOf('encoder_reparameterization_type', 'MLP', ['MLP', 'LSTM']),
  /** Left out: the width of the embeddings. */
  encoderHiddenSize: optionalCount('encoder_hidden_size'),
  /** Of the LSTM; the MLP has three linear layers. */
  encoderNumLayers: field.count('encoder_num_layers', 2),
  /** Between the LSTM's layers. */
  encoderDropout: field.chance('encoder_dropout', 0),
} as const;

export type PTuningConfig = ConfigOf<typeof pTuningSchema> & { readonly peftType: 'P_TUNING' };
/** Any of the config's fields and the count of virtual tokens; the others have PEFT's defaults. */
export type PTuningOptions = Partial<ConfigOf<typeof pTuningSchema>> &
  Pick<PTuningConfig, 'numVirtualTokens'>;

/** A config of P-tuning: PEFT's defaults and what `options` say. @throws ConfigError */
export const pTuningConfig = (options: PTuningOptions): PTuningConfig => ({
  ...makeConfig(pTuningSchema, options),
  peftType: 'P_TUNING',
});

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parsePTuningConfig(json: JsonObject): ParsedConfig<PTuningConfig> {
  const { config, unknownKeys } = parseConfig(pTuningSchema, json);
  return { config: { ...config, peftType: 'P_TUNING' }, unknownKeys };
}

export const pTuningConfigToJson = (config: PTuningConfig): JsonObject => configToJson(pTuningSchema, config);

export const pTuningFloatKeys = floatKeys(pTuningSchema);
