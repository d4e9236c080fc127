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

/** Every key of PEFT's `XLoraConfig` with its default. */
export const xloraSchema = {
  ...commonFields,
  /** Of the base's hidden states. Null: the base's own. PEFT's default is 4096. */
  hiddenSize: {
    key: 'hidden_size',
    initial: null,
    expects: 'a whole number from 1 on or null',
    accepts: (value) => value === null || (Number.isSafeInteger(value) && (value as number) >= 1),
  } as ConfigField<number | null>,
  /** Where PEFT finds the experts, by their numbers as text. Here the tuner has them. */
  adapters: {
    key: 'adapters',
    initial: {},
    expects: 'an object of paths by the numbers of the experts',
    accepts: (value) =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((path) => typeof path === 'string'),
  } as ConfigField<Readonly<Record<string, string>>>,
  /** Scalings of a token are a softmax over the experts. */
  enableSoftmax: field.boolean('enable_softmax', true),
  /** Scalings that the choice of the best leaves are a softmax among them. */
  enableSoftmaxTopk: field.boolean('enable_softmax_topk', false),
  /** Each layer has scalings of its own; false: all have the same. */
  layerwiseScalings: field.boolean('layerwise_scalings', false),
  /** Linear layers of the classifier. */
  xloraDepth: field.count('xlora_depth', 1),
  /** Their width, where there are several. */
  xloraSize: field.count('xlora_size', 2048),
  /** Chance that a hidden unit of the classifier becomes zero in training. */
  xloraDropoutP: field.chance('xlora_dropout_p', 0.2),
  /** Experts are trained with the classifier. */
  useTrainableAdapters: field.boolean('use_trainable_adapters', false),
  /** Logits are divided by it before the softmax. */
  softmaxTemperature: field.float('softmax_temperature', 1),
  /** Only the best so many experts of a token count. Null: all. */
  topKLora: field.optionalWholeNumber('top_k_lora'),
  /** The scaling of every expert in the pass that the classifier reads. */
  scalingPassValue: field.float('scaling_pass_value', 0),
  /** Factor of every expert. */
  globalScalingWeight: field.float('global_scaling_weight', 1),
} as const;

export type XloraConfig = ConfigOf<typeof xloraSchema> & { readonly peftType: 'XLORA' };
export type XloraOptions = Partial<ConfigOf<typeof xloraSchema>>;

/** A config of X-LoRA: PEFT's defaults and what `options` say. @throws ConfigError */
export const xloraConfig = (options: XloraOptions = {}): XloraConfig =>
  check(makeConfig(xloraSchema, options));

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parseXloraConfig(json: JsonObject): ParsedConfig<XloraConfig> {
  const { config, unknownKeys } = parseConfig(xloraSchema, json);
  return { config: check(config), unknownKeys };
}

export const xloraConfigToJson = (config: XloraConfig): JsonObject => configToJson(xloraSchema, config);
export const xloraFloatKeys = floatKeys(xloraSchema);

function check(config: ConfigOf<typeof xloraSchema>): XloraConfig {
  const { topKLora, enableSoftmaxTopk, softmaxTemperature } = config;
  if (topKLora !== null && topKLora < 1) throw new ConfigError('top_k_lora', topKLora, 'must be at least 1');
  if (softmaxTemperature === 0) throw new ConfigError('softmax_temperature', 0, 'must not be 0');
  if (enableSoftmaxTopk && topKLora === null)
    throw new ConfigError('enable_softmax_topk', enableSoftmaxTopk, 'needs top_k_lora');
  return { ...config, peftType: 'XLORA' };
}
