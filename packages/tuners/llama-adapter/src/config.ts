import type { JsonObject } from '@graftjs/checkpoint';
import {
  type ConfigField,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  makeConfig,
  type ParsedConfig,
  parseConfig,
} from '@graftjs/peft';

const { expects, accepts } = field.count('', 1);

/** A count that must be given. */
const neededCount = (key: string): ConfigField<number> => ({
  key,
  initial: null as unknown as number,
  expects,
  accepts,
});

/** Every key of PEFT's `AdaptionPromptConfig` with its default. */
export const llamaAdapterSchema = {
  ...commonFields,
  /** Last part of the paths of the attention modules; null: by the model's type, `self_attn` or `attn`. */
  targetModules: field.optionalString('target_modules'),
  /** Needed: n, the prompt tokens of a layer. */
  adapterLen: neededCount('adapter_len'),
  /** Needed: how many layers have a prompt, from the top. */
  adapterLayers: neededCount('adapter_layers'),
} as const;

export type LlamaAdapterConfig = ConfigOf<typeof llamaAdapterSchema> & {
  readonly peftType: 'ADAPTION_PROMPT';
};
/** Any of the config's fields and the two counts; the others have PEFT's defaults. */
export type LlamaAdapterOptions = Partial<ConfigOf<typeof llamaAdapterSchema>> &
  Pick<LlamaAdapterConfig, 'adapterLen' | 'adapterLayers'>;

/** A config of LLaMA-Adapter: PEFT's defaults and what `options` say. @throws ConfigError */
export const llamaAdapterConfig = (options: LlamaAdapterOptions): LlamaAdapterConfig => ({
  ...makeConfig(llamaAdapterSchema, options),
  peftType: 'ADAPTION_PROMPT',
});

/** The config in an `adapter_config.json`. @throws ConfigError */
export function parseLlamaAdapterConfig(json: JsonObject): ParsedConfig<LlamaAdapterConfig> {
  const { config, unknownKeys } = parseConfig(llamaAdapterSchema, json);
  return { config: { ...config, peftType: 'ADAPTION_PROMPT' }, unknownKeys };
}

export const llamaAdapterConfigToJson = (config: LlamaAdapterConfig): JsonObject =>
  configToJson(llamaAdapterSchema, config);
