import type { JsonObject } from '@graftjs/checkpoint';
import {
  type AdapterConfig,
  activations,
  ConfigError,
  type ConfigField,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  makeConfig,
  type ParsedConfig,
  parseConfig,
} from '@graftjs/peft';

const layers: ConfigField<readonly number[]> = {
  key: 'leave_out',
  initial: [],
  expects: 'a list of layer indices from 0 on',
  accepts: (value) => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0),
};

export const attentionMatrices = ['q', 'k', 'v'] as const;
export type AttentionMatrix = (typeof attentionMatrices)[number];

const matrices: ConfigField<readonly AttentionMatrix[]> = {
  key: 'attn_matrices',
  initial: ['q', 'v'],
  expects: "a list of 'q', 'k' and 'v'",
  accepts: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((m) => attentionMatrices.includes(m)),
};

/** Every key of AdapterHub's `PrefixTuningConfig` with its default. */
export const gatedPrefixSchema = {
  ...commonFields,
  architecture: field.oneOf('architecture', 'prefix_tuning', ['prefix_tuning']),
  encoderPrefix: field.inert('encoder_prefix', true),
  crossPrefix: field.inert('cross_prefix', true),
  /** Layers without a prefix. */
  leaveOut: layers,
  /** The prefix itself is trained, and not a network that gives it. */
  flat: field.boolean('flat', false),
  /** Positions in front of every layer's keys. */
  prefixLength: field.count('prefix_length', 30),
  /** Units of the network. */
  bottleneckSize: field.count('bottleneck_size', 512),
  nonLinearity: field.oneOf(
    'non_linearity',
    'tanh',
    Object.keys(activations) as (keyof typeof activations)[],
  ),
  /** Of the prefix, in training. */
  dropout: field.chance('dropout', 0),
  /** A learnt number between 0 and 1 for each text and layer scales the prefix. */
  useGating: field.boolean('use_gating', false),
  /** One number for keys and values; false: one each. */
  sharedGating: field.boolean('shared_gating', true),
  initWeightsSeed: field.inert('init_weights_seed', null),
} as const;

/** Every key of AdapterHub's `LoRAConfig` with its default. */
export const gatedLoraSchema = {
  ...commonFields,
  architecture: field.oneOf('architecture', 'lora', ['lora']),
  selfattnLora: field.unsupported('selfattn_lora', true, 'there is LoRA of attention only'),
  intermediateLora: field.unsupported('intermediate_lora', false, 'there is LoRA of attention only'),
  outputLora: field.unsupported('output_lora', false, 'there is LoRA of attention only'),
  /** Layers without LoRA. */
  leaveOut: layers,
  r: field.count('r', 8),
  alpha: field.number('alpha', 8),
  dropout: field.chance('dropout', 0),
  /** Projections that are changed: of queries, keys, values. */
  attnMatrices: matrices,
  compositionMode: field.unsupported('composition_mode', 'add', '(IA)³ is a package of its own'),
  initWeights: field.oneOf('init_weights', 'lora', ['lora', 'bert']),
  initWeightsSeed: field.inert('init_weights_seed', null),
  /** A learnt number between 0 and 1 for each text scales the change, in the place of alpha / r. */
  useGating: field.boolean('use_gating', false),
  useDora: field.unsupported('use_dora', false, 'DoRA is one of the LoRA package'),
  veraD: field.unsupported('vera_d', null, 'VeRA is a package of its own'),
  veraB: field.unsupported('vera_b', null, 'VeRA is a package of its own'),
  dtype: field.unsupported('dtype', null, 'it is computed in f32'),
} as const;

export type GatedPrefixConfig = ConfigOf<typeof gatedPrefixSchema> & {
  readonly peftType: 'GATED_PREFIX_TUNING';
};
export type GatedLoraConfig = ConfigOf<typeof gatedLoraSchema> & { readonly peftType: 'GATED_LORA' };
export type GatedPrefixOptions = Partial<ConfigOf<typeof gatedPrefixSchema>>;
export type GatedLoraOptions = Partial<ConfigOf<typeof gatedLoraSchema>>;

/** Prefix tuning as AdapterHub has it. @throws ConfigError, UnsupportedConfigError */
export const gatedPrefixConfig = (options: GatedPrefixOptions = {}): GatedPrefixConfig => ({
  ...makeConfig(gatedPrefixSchema, options),
  peftType: 'GATED_PREFIX_TUNING',
});

/** LoRA of attention as AdapterHub has it. @throws ConfigError, UnsupportedConfigError */
export const gatedLoraConfig = (options: GatedLoraOptions = {}): GatedLoraConfig => ({
  ...makeConfig(gatedLoraSchema, options),
  peftType: 'GATED_LORA',
});

export function parseGatedPrefixConfig(json: JsonObject): ParsedConfig<GatedPrefixConfig> {
  const { config, unknownKeys } = parseConfig(gatedPrefixSchema, json);
  return { config: { ...config, peftType: 'GATED_PREFIX_TUNING' }, unknownKeys };
}

export function parseGatedLoraConfig(json: JsonObject): ParsedConfig<GatedLoraConfig> {
  const { config, unknownKeys } = parseConfig(gatedLoraSchema, json);
  return { config: { ...config, peftType: 'GATED_LORA' }, unknownKeys };
}

export const gatedPrefixConfigToJson = (config: GatedPrefixConfig): JsonObject =>
  configToJson(gatedPrefixSchema, config);
export const gatedLoraConfigToJson = (config: GatedLoraConfig): JsonObject =>
  configToJson(gatedLoraSchema, config);

const unionSchema = {
  ...commonFields,
  modulesToSave: field.nameList('modules_to_save'),
  architecture: field.oneOf('architecture', 'union', ['union']),
} as const;

/** Configs of several methods that make one adapter. */
export interface UnionConfig extends AdapterConfig {
  readonly peftType: 'UNION';
  readonly architecture: 'union';
  readonly configs: readonly AdapterConfig[];
}

/** Several methods as one adapter (`ConfigUnion` of AdapterHub). @throws ConfigError where there are none */
export function configUnion(
  configs: readonly AdapterConfig[],
  options: { readonly modulesToSave?: readonly string[] } = {},
): UnionConfig {
  if (configs.length === 0) throw new ConfigError('configs', configs, 'is empty: give configs');
  const inner = configs.find(({ peftType }) => peftType === 'UNION');
  if (inner) throw new ConfigError('configs', 'UNION', 'a union in a union; give its configs');
  return { ...makeConfig(unionSchema, options), configs, peftType: 'UNION' } as UnionConfig;
}

/** The union's own keys; what is in it, its methods read and write. */
export const parseUnionFields = (json: JsonObject): ParsedConfig<Omit<UnionConfig, 'configs'>> => {
  const { configs: _, ...rest } = json;
  const { config, unknownKeys } = parseConfig(unionSchema, rest);
  return { config: { ...config, peftType: 'UNION' } as Omit<UnionConfig, 'configs'>, unknownKeys };
};

export const unionFieldsToJson = (config: UnionConfig): JsonObject => configToJson(unionSchema, config);
