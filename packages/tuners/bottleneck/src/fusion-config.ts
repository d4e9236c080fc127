import type { JsonObject } from '@graftjs/checkpoint';
import {
  ConfigError,
  type ConfigField,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  type ParsedConfig,
  parseConfig,
} from '@graftjs/peft';

const adapterNames: ConfigField<readonly string[]> = {
  key: 'adapter_names',
  initial: [],
  expects: 'a list of two adapters or more',
  accepts: (value) =>
    Array.isArray(value) &&
    value.length > 1 &&
    value.every((name) => typeof name === 'string' && name !== ''),
};

const dropout: ConfigField<number | null> = {
  key: 'dropout_prob',
  initial: null,
  expects: 'null or a number from 0 to 1',
  accepts: (value) => value === null || (typeof value === 'number' && value >= 0 && value <= 1),
  float: true,
};

/** Every key of AdapterHub's `AdapterFusionConfig`; the defaults are those of its dynamic form. */
export const fusionSchema = {
  ...commonFields,
  /** Needed: bottleneck adapters on the same model, in the order in which they are fused. */
  adapterNames,
  /** Whether what an adapter gives is projected before it is compared. */
  key: field.boolean('key', true),
  /** Whether what asks is projected. */
  query: field.boolean('query', true),
  /** Whether what adapters give is projected before it is mixed: the dynamic form. */
  value: field.boolean('value', true),
  /** The sub-layer's output asks, not what enters the adapters. */
  queryBeforeLn: field.boolean('query_before_ln', false),
  /** Says that {@link fusionRegularization} belongs into the loss; a pass computes the same. */
  regularization: field.boolean('regularization', true),
  /** The adapters' skip connection goes through the projection of values. */
  residualBefore: field.boolean('residual_before', false),
  temperature: field.unsupported(
    'temperature',
    false,
    'it would fall from pass to pass, which a graph does not',
  ),
  /** Either gives the same: the projection is linear. */
  valueBeforeSoftmax: field.inert('value_before_softmax', true),
  /** The projection of values starts as the identity. */
  valueInitialized: field.inert('value_initialized', true),
  /** Of the scores, in training; null is 0. */
  dropoutProb: dropout,
} as const;

export type AdapterFusionConfig = ConfigOf<typeof fusionSchema> & { readonly peftType: 'ADAPTER_FUSION' };
export type AdapterFusionOptions = Partial<ConfigOf<typeof fusionSchema>> &
  Pick<AdapterFusionConfig, 'adapterNames'>;

/** @throws ConfigError where nothing would be trained */
function complete(values: ConfigOf<typeof fusionSchema>): AdapterFusionConfig {
  const { key, query, value } = values;
  if (!key && !query && !value)
    throw new ConfigError('value', value, 'query, key and value are all false: nothing would be trained');
  return { ...values, peftType: 'ADAPTER_FUSION' };
}

/** Pfeiffer et al., 2020 (arXiv:2005.00247), with a projection of values. @throws ConfigError */
export const adapterFusionConfig = (options: AdapterFusionOptions): AdapterFusionConfig =>
  complete(makeConfig(fusionSchema, options));

/** Without a projection of values. @throws ConfigError */
export const staticAdapterFusionConfig = (options: AdapterFusionOptions): AdapterFusionConfig =>
  adapterFusionConfig({ value: false, valueInitialized: false, regularization: false, ...options });

/** The config in an `adapter_config.json`. @throws ConfigError, UnsupportedConfigError */
export function parseAdapterFusionConfig(json: JsonObject): ParsedConfig<AdapterFusionConfig> {
  const { config, unknownKeys } = parseConfig(fusionSchema, json);
  return { config: complete(config), unknownKeys };
}

export const adapterFusionConfigToJson = (config: AdapterFusionConfig): JsonObject =>
  configToJson(fusionSchema, config);

export const fusionFloatKeys = floatKeys(fusionSchema);
