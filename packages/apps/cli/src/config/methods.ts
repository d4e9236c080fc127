import type { Tokenizer } from '@graftjs/data';
import { pTuning, pTuningConfig, pTuningSchema } from '@graftjs/p-tuning';
import type { AdapterConfig, ConfigField, ConfigSchema, Tuner } from '@graftjs/peft';
import { prefixTuning, prefixTuningConfig, prefixTuningSchema } from '@graftjs/prefix-tuning';
import { promptTuningConfig, promptTuningSchema, promptTuningWith } from '@graftjs/prompt-tuning';

/** A method that is configured by the keys of its own config. LoRA has keys of its own in the schema. */
export interface Method {
  /** @param encode ids of a text by the base's tokenizer, for prompts that start from one */
  readonly tuner: (encode?: Tokenizer['encode']) => Tuner;
  readonly schema: ConfigSchema;
  /** The config with PEFT's defaults. @throws PeftError */
  readonly config: (options: Readonly<Record<string, unknown>>) => AdapterConfig;
  /** Values that are not PEFT's defaults. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Highest learning rate where the configuration gives none. */
  readonly learningRate: number;
  /** Virtual tokens stand in front of each text, which packing does not allow. */
  readonly virtualTokens?: boolean;
}

/** A method with the types of its own config, as one among others. */
const method = <O, C extends AdapterConfig>(
  of: Omit<Method, 'tuner' | 'config'> & {
    readonly tuner: (encode?: Tokenizer['encode']) => Tuner<C>;
    readonly config: (options: O) => C;
  },
): Method => of as unknown as Method;

/** Methods beside LoRA, by the name that `method:` gives them. A new one is an entry here. */
export const methods: Readonly<Record<string, Method>> = {
  'prompt-tuning': method({
    tuner: (encode) => promptTuningWith(encode ? { encode } : {}),
    schema: promptTuningSchema,
    config: promptTuningConfig,
    defaults: { numVirtualTokens: 20, promptTuningInit: 'SAMPLE_VOCAB' },
    learningRate: 0.1,
    virtualTokens: true,
  }),
  'p-tuning': method({
    tuner: () => pTuning,
    schema: pTuningSchema,
    config: pTuningConfig,
    defaults: { numVirtualTokens: 20 },
    learningRate: 5e-3,
    virtualTokens: true,
  }),
  'prefix-tuning': method({
    tuner: () => prefixTuning,
    schema: prefixTuningSchema,
    config: prefixTuningConfig,
    defaults: { numVirtualTokens: 20 },
    learningRate: 0.02,
  }),
};

/** What the command decides itself. */
const decided = new Set([
  'taskType',
  'baseModelNameOrPath',
  'revision',
  'autoMapping',
  'inferenceMode',
  'peftVersion',
  'tokenizerNameOrPath',
]);

/** The keys that a method takes. */
export const fieldsOf = ({ schema }: Method): readonly (readonly [name: string, ConfigField])[] =>
  Object.entries(schema).filter(([name, { unsupported }]) => !decided.has(name) && unsupported === undefined);

/** A method's config, as a configuration gives its options. @throws PeftError */
export function methodConfig(
  method: Method,
  options: Readonly<Record<string, unknown>>,
  baseModel: string,
): AdapterConfig {
  const tokenizer = 'tokenizerNameOrPath' in method.schema ? { tokenizerNameOrPath: baseModel } : {};
  return method.config({ ...method.defaults, ...options, ...tokenizer, taskType: 'CAUSAL_LM' });
}
