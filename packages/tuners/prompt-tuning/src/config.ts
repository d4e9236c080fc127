import type { JsonObject } from '@graftjs/checkpoint';
import {
  ConfigError,
  type ConfigField,
  type ConfigOf,
  configToJson,
  field,
  makeConfig,
  type ParsedConfig,
  parseConfig,
  promptFields,
} from '@graftjs/peft';

/** Every key of PEFT's `PromptTuningConfig` with its default. */
export const promptTuningSchema = {
  ...promptFields,
  /**
   * How virtual tokens start: `RANDOM`, standard normal; `SAMPLE_VOCAB`, the embeddings of random tokens; `TEXT`, those
   * of a text.
   */
  promptTuningInit: field.oneOf('prompt_tuning_init', 'RANDOM', ['TEXT', 'SAMPLE_VOCAB', 'RANDOM']),
  /** The text of `TEXT`: its tokens are repeated or cut to the virtual ones. */
  promptTuningInitText: field.optionalString('prompt_tuning_init_text'),
  /** Written for PEFT, which needs it with `TEXT`; here the tuner is given the tokenizer. */
  tokenizerNameOrPath: field.optionalString('tokenizer_name_or_path'),
  /** As `tokenizerNameOrPath`. */
  tokenizerKwargs: {
    key: 'tokenizer_kwargs',
    initial: null,
    expects: 'an object or null',
    accepts: (value) => typeof value === 'object' && !Array.isArray(value),
  } as ConfigField<JsonObject | null>,
} as const;

export type PromptTuningConfig = ConfigOf<typeof promptTuningSchema> & { readonly peftType: 'PROMPT_TUNING' };
/** Any of the config's fields and the count of virtual tokens; the others have PEFT's defaults. */
export type PromptTuningOptions = Partial<ConfigOf<typeof promptTuningSchema>> &
  Pick<PromptTuningConfig, 'numVirtualTokens'>;

/** A config of prompt tuning: PEFT's defaults and what `options` say. @throws ConfigError */
export const promptTuningConfig = (options: PromptTuningOptions): PromptTuningConfig => ({
  ...checkInitialText(makeConfig(promptTuningSchema, options)),
  peftType: 'PROMPT_TUNING',
});

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parsePromptTuningConfig(json: JsonObject): ParsedConfig<PromptTuningConfig> {
  const { config, unknownKeys } = parseConfig(promptTuningSchema, json);
  return { config: { ...checkInitialText(config), peftType: 'PROMPT_TUNING' }, unknownKeys };
}

export const promptTuningConfigToJson = (config: PromptTuningConfig): JsonObject =>
  configToJson(promptTuningSchema, config);

/** What says how a prompt starts from a text. */
export interface InitialText {
  readonly promptTuningInit: string;
  readonly promptTuningInitText: string | null;
  readonly tokenizerNameOrPath: string | null;
  readonly tokenizerKwargs: JsonObject | null;
}

/** The rules of `PromptTuningConfig.__post_init__` that span fields. @throws ConfigError */
export function checkInitialText<C extends InitialText>(config: C): C {
  const { promptTuningInit, promptTuningInitText, tokenizerNameOrPath, tokenizerKwargs } = config;
  const fromText = promptTuningInit === 'TEXT';
  if (fromText && !tokenizerNameOrPath)
    throw new ConfigError(
      'tokenizer_name_or_path',
      tokenizerNameOrPath,
      'TEXT needs it: the name or folder of the base model, for PEFT to read the adapter',
    );
  if (fromText && promptTuningInitText === null)
    throw new ConfigError('prompt_tuning_init_text', null, 'TEXT needs it: the text to start from');
  if (!fromText && Object.keys(tokenizerKwargs ?? {}).length > 0)
    throw new ConfigError('tokenizer_kwargs', tokenizerKwargs, 'goes with prompt_tuning_init TEXT only');
  return config;
}
