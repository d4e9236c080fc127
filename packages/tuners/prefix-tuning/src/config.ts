import type { JsonObject } from '@graftjs/checkpoint';
import {
  type ConfigField,
  type ConfigOf,
  configToJson,
  field,
  makeConfig,
  optionalCount,
  type ParsedConfig,
  parseConfig,
  promptFields,
} from '@graftjs/peft';

/** Every key of PEFT's `PrefixTuningConfig` with its default. */
export const prefixTuningSchema = {
  ...promptFields,
  /** Null: at random. `zero`: keys and values of zero, which still take their share of attention. */
  initWeights: {
    key: 'init_weights',
    initial: null,
    expects: 'null or "zero"',
    accepts: (value) => value === null || value === 'zero',
  } as ConfigField<'zero' | null>,
  /** Of the network; left out: the width of a layer's keys. */
  encoderHiddenSize: optionalCount('encoder_hidden_size'),
  /** Trains a network that gives the prefix, instead of the prefix. */
  prefixProjection: field.boolean('prefix_projection', false),
} as const;

export type PrefixTuningConfig = ConfigOf<typeof prefixTuningSchema> & { readonly peftType: 'PREFIX_TUNING' };
/** Any of the config's fields and the count of virtual tokens; the others have PEFT's defaults. */
export type PrefixTuningOptions = Partial<ConfigOf<typeof prefixTuningSchema>> &
  Pick<PrefixTuningConfig, 'numVirtualTokens'>;

/** A config of prefix tuning: PEFT's defaults and what `options` say. @throws ConfigError */
export const prefixTuningConfig = (options: PrefixTuningOptions): PrefixTuningConfig => ({
  ...makeConfig(prefixTuningSchema, options),
  peftType: 'PREFIX_TUNING',
});

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parsePrefixTuningConfig(json: JsonObject): ParsedConfig<PrefixTuningConfig> {
  const { config, unknownKeys } = parseConfig(prefixTuningSchema, json);
  return { config: { ...config, peftType: 'PREFIX_TUNING' }, unknownKeys };
}

export const prefixTuningConfigToJson = (config: PrefixTuningConfig): JsonObject =>
  configToJson(prefixTuningSchema, config);
