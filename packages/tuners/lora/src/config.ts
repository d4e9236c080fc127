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
  UnsupportedConfigError,
} from '@graftjs/peft';

/** How weights start. All but the first three are made by the extension of `@graftjs/lora-initialization`. */
export type LoraInitialization =
  | true
  | false
  | 'gaussian'
  | 'pissa'
  | `pissa_niter_${number}`
  | 'olora'
  | 'corda'
  | 'lora_ga'
  | 'loftq'
  | 'eva'
  | 'orthogonal'
  | 'mica';

const initializations =
  /^(true|false|gaussian|pissa(_niter_\d+)?|olora|corda|lora_ga|loftq|eva|orthogonal|mica)$/;

/** Whether weights start as a part of the base's, which is taken from it then. */
export const startsFromBase = (initialization: LoraInitialization): boolean =>
  /^(pissa(_niter_\d+)?|olora|corda|lora_ga)$/.test(String(initialization));

/** Whether the base's weights are rounded for the adapter. */
export const roundsBase = (initialization: LoraInitialization): boolean => initialization === 'loftq';

/** Whether weights start from what the base makes of data. */
export const startsFromData = (initialization: LoraInitialization): boolean =>
  initialization === 'corda' || initialization === 'lora_ga' || initialization === 'eva';

const another = 'it is another computation than plain LoRA; train without it';

const details = (key: string, initial: JsonObject | null): ConfigField<JsonObject | null> => ({
  key,
  initial,
  expects: 'an object or null',
  accepts: (value) => value === null || (typeof value === 'object' && !Array.isArray(value)),
});

/** Every key of PEFT's `LoraConfig` with its default. */
export const loraSchema = {
  ...commonFields,
  /** Rank. */
  r: field.count('r', 8),
  /** The change is scaled by loraAlpha / r. */
  loraAlpha: field.number('lora_alpha', 8),
  /** Chance that an element of the adapter's input becomes zero in training. */
  loraDropout: field.chance('lora_dropout', 0),
  /** Names, a regular expression for whole paths, `all-linear`, or null for the defaults of the model's type. */
  targetModules: field.names('target_modules'),
  excludeModules: field.names('exclude_modules'),
  /** Modules that are trained whole beside the adapter. */
  modulesToSave: field.nameList('modules_to_save'),
  /** Of modules that a list names by their ends: only those of these layers. */
  layersToTransform: field.layers('layers_to_transform'),
  layersPattern: field.names('layers_pattern'),
  /** Ranks of some modules, by name or regular expression. */
  rankPattern: field.pattern('rank_pattern', 1),
  /** Alphas of some modules, by name or regular expression. */
  alphaPattern: field.pattern('alpha_pattern'),
  /** Scales by loraAlpha / sqrt(r). */
  useRslora: field.boolean('use_rslora', false),
  /** DoRA: the magnitudes of the weights' rows are trained beside their directions. */
  useDora: field.boolean('use_dora', false),
  /** B has a bias, which is trained, too. */
  loraBias: field.boolean('lora_bias', false),
  bias: field.oneOf('bias', 'none', ['none', 'all', 'lora_only']),
  /**
   * True: A as a linear layer starts, B zero. `gaussian`: A normal, deviation 1 / r, B zero. False: both random. The
   * others are of `@graftjs/lora-initialization`.
   */
  initLoraWeights: {
    key: 'init_lora_weights',
    initial: true,
    expects: 'true, false or the name of an initialization',
    accepts: (value) => typeof value === 'boolean' || typeof value === 'string',
  } as ConfigField<LoraInitialization>,
  /** Weights are stored as `[in, out]` (Conv1D of GPT-2). The layers know: a wrong flag is set right, with a warning. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),

  /** aLoRA: from the last place on where these tokens stand, a text has the adapter. By the extension `activated`. */
  aloraInvocationTokens: {
    key: 'alora_invocation_tokens',
    initial: null,
    expects: 'a list of token ids or null',
    accepts: (value) =>
      value === null || (Array.isArray(value) && value.length > 0 && value.every(Number.isSafeInteger)),
  } as ConfigField<readonly number[] | null>,
  arrowConfig: field.unsupported('arrow_config', null, another),
  kasaConfig: field.unsupported('kasa_config', null, another),
  montecloraConfig: field.unsupported('monteclora_config', null, another),
  useBdlora: field.unsupported('use_bdlora', null, another),
  useQalora: field.unsupported('use_qalora', false, another),
  veloraConfig: field.unsupported('velora_config', null, another),
  layerReplication: field.unsupported('layer_replication', null, 'layers are not repeated here'),
  targetParameters: field.unsupported('target_parameters', null, 'name target_modules instead'),
  /** Tokens whose rows are trained: of the input embeddings, or by module. By `@graftjs/trainable-tokens`. */
  trainableTokenIndices: {
    key: 'trainable_token_indices',
    initial: null,
    expects: 'a list of token ids, an object of such lists by module, or null',
    accepts: (value) =>
      value === null ||
      [Array.isArray(value) ? value : Object.values(value ?? {})].flat(2).every(Number.isSafeInteger),
  } as ConfigField<readonly number[] | Readonly<Record<string, readonly number[]>> | null>,
  ensureWeightTying: field.unsupported('ensure_weight_tying', false, 'adapters are not tied here'),
  megatronConfig: field.unsupported('megatron_config', null, 'there are no Megatron layers here'),

  /** Of `corda`, `eva`, `loftq` and `lora_ga`, with the keys of peft's files. */
  cordaConfig: details('corda_config', null),
  evaConfig: details('eva_config', null),
  loftqConfig: details('loftq_config', {}),
  loraGaConfig: details('lora_ga_config', null),
  megatronCore: field.inert('megatron_core', 'megatron.core'),
  qaloraGroupSize: field.inert('qalora_group_size', 16),
} as const;

export type LoraConfig = ConfigOf<typeof loraSchema> & { readonly peftType: 'LORA' };
/** Any of the config's fields; the others have PEFT's defaults. */
export type LoraOptions = Partial<ConfigOf<typeof loraSchema>>;

/** A config of LoRA: PEFT's defaults and what `options` say. @throws ConfigError, UnsupportedConfigError */
export const loraConfig = (options: LoraOptions = {}): LoraConfig => check(makeConfig(loraSchema, options));

/** The config in an `adapter_config.json`. @throws ConfigError, UnsupportedConfigError */
export function parseLoraConfig(json: JsonObject): ParsedConfig<LoraConfig> {
  const { config, unknownKeys } = parseConfig(loraSchema, json);
  return { config: check(config), unknownKeys };
}

/** As it is saved: what started from a part of the base's weights as plain LoRA of twice the rank. */
export const loraConfigToJson = (config: LoraConfig): JsonObject => configToJson(loraSchema, asPlain(config));

export const loraFloatKeys = floatKeys(loraSchema);

/** The rules of `LoraConfig.__post_init__` that span fields. */
function check(config: ConfigOf<typeof loraSchema>): LoraConfig {
  const { initLoraWeights, targetModules, layersToTransform, layersPattern, loraBias, useDora } = config;
  const { aloraInvocationTokens } = config;
  if (!initializations.test(String(initLoraWeights)))
    throw new UnsupportedConfigError('init_lora_weights', initLoraWeights, 'there is no such initialization');
  if (typeof targetModules === 'string' && layersToTransform !== null)
    throw new ConfigError(
      'layers_to_transform',
      layersToTransform,
      'goes with a list of target_modules only; put the layers into the regular expression',
    );
  if (typeof targetModules === 'string' && layersPattern !== null)
    throw new ConfigError(
      'layers_pattern',
      layersPattern,
      'goes with a list of target_modules only; put the layers into the regular expression',
    );
  if (layersPattern?.length && layersToTransform === null)
    throw new ConfigError('layers_pattern', layersPattern, 'needs layers_to_transform');
  if (loraBias && typeof initLoraWeights !== 'boolean')
    throw new ConfigError('lora_bias', loraBias, 'goes with init_lora_weights of true or false only');
  if (aloraInvocationTokens !== null) {
    const refused = (other: string) =>
      new ConfigError('alora_invocation_tokens', aloraInvocationTokens, `does not go with ${other}`);
    if (useDora) throw refused('use_dora');
    if (startsFromBase(initLoraWeights)) throw refused(`init_lora_weights of ${initLoraWeights}`);
  }
  if (loraBias && useDora) throw new ConfigError('lora_bias', loraBias, 'does not go with use_dora');
  return { ...config, peftType: 'LORA' };
}

/**
 * [A; A₀] and [B, -B₀] have twice the rank and the scale of A and B. Equal to peft's, which refuses rank-stabilised
 * patterns.
 */
function asPlain(config: LoraConfig): LoraConfig {
  if (!startsFromBase(config.initLoraWeights)) return config;
  const double = (n: number): number => 2 * n;
  const alpha = config.useRslora ? (n: number): number => Math.SQRT2 * n : double;
  return {
    ...config,
    initLoraWeights: true,
    cordaConfig: null,
    loraGaConfig: null,
    r: double(config.r),
    loraAlpha: alpha(config.loraAlpha),
    rankPattern: mapped(config.rankPattern, double),
    alphaPattern: mapped(config.alphaPattern, alpha),
  };
}

const mapped = (
  pattern: Readonly<Record<string, number>>,
  change: (n: number) => number,
): Record<string, number> =>
  Object.fromEntries(Object.entries(pattern).map(([name, n]) => [name, change(n)]));

/** What a config says without effect. */
export function inertKeys(config: LoraConfig): string[] {
  const by: readonly (readonly [string, unknown, boolean])[] = [
    ['eva_config', config.evaConfig, config.initLoraWeights === 'eva'],
    ['corda_config', config.cordaConfig, config.initLoraWeights === 'corda'],
    ['lora_ga_config', config.loraGaConfig, config.initLoraWeights === 'lora_ga'],
    [
      'loftq_config',
      Object.keys(config.loftqConfig ?? {}).length ? config.loftqConfig : null,
      config.initLoraWeights === 'loftq',
    ],
  ];
  return by
    .filter(([, value, used]) => value !== null && !used)
    .map(
      ([key]) => `${key} has no effect with init_lora_weights = ${JSON.stringify(config.initLoraWeights)}`,
    );
}
