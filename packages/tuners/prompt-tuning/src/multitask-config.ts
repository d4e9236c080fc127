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
} from '@graftjs/peft';
import { checkInitialText, promptTuningSchema } from './config.ts';

/** Every key of PEFT's `MultitaskPromptTuningConfig` with its default. */
export const multitaskPromptTuningSchema = {
  ...promptTuningSchema,
  /**
   * How the prompt starts: `RANDOM` or `TEXT` as in prompt tuning, or from a prompt of source tasks: with the mean of
   * their matrices (`AVERAGE_SOURCE_TASKS`), those of one of them (`EXACT_SOURCE_TASK`), or only what they share
   * (`ONLY_SOURCE_SHARED`).
   */
  promptTuningInit: field.oneOf('prompt_tuning_init', 'RANDOM', [
    'TEXT',
    'RANDOM',
    'AVERAGE_SOURCE_TASKS',
    'EXACT_SOURCE_TASK',
    'ONLY_SOURCE_SHARED',
  ]),
  /** Written for PEFT, which reads the source's prompt there; here the tuner is given it. */
  promptTuningInitStateDictPath: field.optionalString('prompt_tuning_init_state_dict_path'),
  /** The source task of `EXACT_SOURCE_TASK`, from 0. */
  promptTuningInitTask: {
    key: 'prompt_tuning_init_task',
    initial: 0,
    expects: 'a whole number from 0 on',
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  } as ConfigField<number>,
  /** Of each task's matrix. */
  numRanks: field.count('num_ranks', 1),
  numTasks: field.count('num_tasks', 1),
} as const;

export type MultitaskPromptTuningConfig = ConfigOf<typeof multitaskPromptTuningSchema> & {
  readonly peftType: 'MULTITASK_PROMPT_TUNING';
};
/** Any of the config's fields and the count of virtual tokens; the others have PEFT's defaults. */
export type MultitaskPromptTuningOptions = Partial<ConfigOf<typeof multitaskPromptTuningSchema>> &
  Pick<MultitaskPromptTuningConfig, 'numVirtualTokens'>;

/** A config of multitask prompt tuning: PEFT's defaults and what `options` say. @throws ConfigError */
export const multitaskPromptTuningConfig = (
  options: MultitaskPromptTuningOptions,
): MultitaskPromptTuningConfig => check(makeConfig(multitaskPromptTuningSchema, options));

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parseMultitaskPromptTuningConfig(
  json: JsonObject,
): ParsedConfig<MultitaskPromptTuningConfig> {
  const { config, unknownKeys } = parseConfig(multitaskPromptTuningSchema, json);
  return { config: check(config), unknownKeys };
}

export const multitaskPromptTuningConfigToJson = (config: MultitaskPromptTuningConfig): JsonObject =>
  configToJson(multitaskPromptTuningSchema, config);

/** Whether a prompt starts from that of source tasks. */
export const hasSource = (init: string): boolean => init.includes('SOURCE');

function check(config: ConfigOf<typeof multitaskPromptTuningSchema>): MultitaskPromptTuningConfig {
  const { promptTuningInit, promptTuningInitStateDictPath, numTasks } = checkInitialText(config);
  if (hasSource(promptTuningInit) && promptTuningInitStateDictPath === null)
    throw new ConfigError(
      'prompt_tuning_init_state_dict_path',
      null,
      `${promptTuningInit} needs it, for PEFT to read the adapter`,
    );
  if (/^(AVERAGE|EXACT)/.test(promptTuningInit) && numTasks !== 1)
    throw new ConfigError(
      'num_tasks',
      numTasks,
      `must be 1 with ${promptTuningInit}, which gives one task's matrices`,
    );
  return { ...config, peftType: 'MULTITASK_PROMPT_TUNING' };
}
