import type { JsonObject } from '@graftjs/checkpoint';
import {
  ConfigError,
  type ConfigField,
  type ConfigOf,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  type ParsedConfig,
  parseConfig,
  promptFields,
} from '@graftjs/peft';

const ids = (key: string): ConfigField<readonly number[] | null> => ({
  key,
  initial: null,
  expects: 'a list of whole numbers from 0 on, or null',
  accepts: (value) =>
    value === null || (Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)),
});

/** Every key of PEFT's `CPTConfig` with its default. */
export const cptSchema = {
  ...promptFields,
  numVirtualTokens: field.optionalWholeNumber('num_virtual_tokens'),
  /** Tokens of the examples that stand in front of each text. Null: token 0 alone. */
  cptTokenIds: ids('cpt_token_ids'),
  /** Kept for PEFT, which does not read it either. */
  cptMask: ids('cpt_mask'),
  /**
   * What each token is, counted through the examples: of n, n mod 4 is 1 for an input's template, 2 for an input, 3 for
   * an output's template, 0 for a label; 0 is none of these. The first three are trained. Null: 1 for all.
   */
  cptTokensTypeMask: ids('cpt_tokens_type_mask'),
  /** `decay`: labels of examples count less, the farther they are from the text. */
  optWeightedLossType: field.oneOf('opt_weighted_loss_type', 'none', ['none', 'decay']),
  optLossDecayFactor: field.float('opt_loss_decay_factor', 1),
  /** How far tokens of inputs may move, times √(d / 2048). */
  optProjectionEpsilon: field.float('opt_projection_epsilon', 0.1),
  /** How far tokens of templates may move, times √(d / 2048). */
  optProjectionFormatEpsilon: field.float('opt_projection_format_epsilon', 0.1),
  tokenizerNameOrPath: field.optionalString('tokenizer_name_or_path'),
} as const;

export type CptConfig = Omit<ConfigOf<typeof cptSchema>, 'numVirtualTokens'> & {
  readonly peftType: 'CPT';
  readonly numVirtualTokens: number;
  readonly cptTokenIds: readonly number[];
  readonly cptMask: readonly number[];
  readonly cptTokensTypeMask: readonly number[];
};
export type CptOptions = Partial<ConfigOf<typeof cptSchema>>;

/** The rules of `CPTConfig.__post_init__`. @throws ConfigError */
function complete(values: ConfigOf<typeof cptSchema>): CptConfig {
  const cptTokenIds = values.cptTokenIds ?? [0];
  const ones = cptTokenIds.map(() => 1);
  const { cptMask = ones, cptTokensTypeMask = ones } = {
    cptMask: values.cptMask ?? ones,
    cptTokensTypeMask: values.cptTokensTypeMask ?? ones,
  };
  if (values.taskType !== 'CAUSAL_LM')
    throw new ConfigError('task_type', values.taskType, 'must be CAUSAL_LM: CPT is for nothing else');
  if (cptTokenIds.length === 0) throw new ConfigError('cpt_token_ids', cptTokenIds, 'is empty: name tokens');
  for (const [key, list] of [
    ['cpt_mask', cptMask],
    ['cpt_tokens_type_mask', cptTokensTypeMask],
  ] as const)
    if (list.length !== cptTokenIds.length)
      throw new ConfigError(key, list, `must have one number for each of the ${cptTokenIds.length} tokens`);
  const numVirtualTokens = cptTokenIds.length;
  return { ...values, cptTokenIds, cptMask, cptTokensTypeMask, numVirtualTokens, peftType: 'CPT' };
}

/** A config of CPT: PEFT's defaults and what `options` say. @throws ConfigError */
export const cptConfig = (options: CptOptions): CptConfig =>
  complete(makeConfig(cptSchema, { taskType: 'CAUSAL_LM', ...options }));

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parseCptConfig(json: JsonObject): ParsedConfig<CptConfig> {
  const { config, unknownKeys } = parseConfig(cptSchema, json);
  return { config: complete(config), unknownKeys };
}

export const cptConfigToJson = (config: CptConfig): JsonObject => configToJson(cptSchema, config);

export const cptFloatKeys = floatKeys(cptSchema);
