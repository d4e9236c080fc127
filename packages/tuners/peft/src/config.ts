/**
 * Configs of adapters: one table of fields a tuner says how each is called in `adapter_config.json`, what it is where
 * it is left out, and what values it may have.
 */
import type { JsonObject } from '@graftjs/checkpoint';
import { nearest } from '@graftjs/nn';
import { ConfigError, shown, UnsupportedConfigError } from './errors.ts';

export interface ConfigField<T = unknown> {
  /** Its name in `adapter_config.json`. */
  readonly key: string;
  /** Its value where it is left out: PEFT's default. */
  readonly initial: T;
  /** What its values are, for messages: "must be …". */
  readonly expects: string;
  readonly accepts: (value: unknown) => boolean;
  /** Python writes its numbers as floats. */
  readonly float?: boolean;
  /** Why any other value than the default is refused. */
  readonly unsupported?: string;
}

export type ConfigSchema = Readonly<Record<string, ConfigField>>;

/** The values of a schema's fields. */
export type ConfigOf<S extends ConfigSchema> = {
  readonly [K in keyof S]: S[K] extends ConfigField<infer T> ? T : never;
};

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isString = (value: unknown): value is string => typeof value === 'string';
const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isStrings = (value: unknown): value is string[] => Array.isArray(value) && value.every(isString);
const orNull = (accepts: (value: unknown) => boolean) => (value: unknown) => value === null || accepts(value);

/** Makers of fields. */
export const field = {
  boolean: (key: string, initial: boolean): ConfigField<boolean> => ({
    key,
    initial,
    expects: 'true or false',
    accepts: (value) => typeof value === 'boolean',
  }),
  count: (key: string, initial: number): ConfigField<number> => ({
    key,
    initial,
    expects: 'a whole number from 1 on',
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
  }),
  countOrZero: (key: string, initial: number): ConfigField<number> => ({
    key,
    initial,
    expects: 'a whole number from 0 on',
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  }),
  /** A seed, or an index that may be negative. */
  wholeNumber: (key: string, initial: number): ConfigField<number> => ({
    key,
    initial,
    expects: 'a whole number',
    accepts: Number.isSafeInteger,
  }),
  optionalWholeNumber: (key: string, initial: number | null = null): ConfigField<number | null> => ({
    key,
    initial,
    expects: 'a whole number or null',
    accepts: orNull(Number.isSafeInteger),
  }),
  number: (key: string, initial: number): ConfigField<number> => ({
    key,
    initial,
    expects: 'a number',
    accepts: isNumber,
  }),
  /** A number that Python writes as a float. */
  float: (key: string, initial: number): ConfigField<number> => ({
    key,
    initial,
    expects: 'a number',
    accepts: isNumber,
    float: true,
  }),
  chance: (key: string, initial: number): ConfigField<number> => ({
    key,
    initial,
    expects: 'a number from 0 to 1',
    accepts: (value) => isNumber(value) && value >= 0 && value <= 1,
    float: true,
  }),
  oneOf: <const T extends readonly (string | boolean)[]>(
    key: string,
    initial: T[number],
    values: T,
  ): ConfigField<T[number]> => ({
    key,
    initial,
    expects: `one of ${values.map((v) => JSON.stringify(v)).join(', ')}`,
    accepts: (value) => (values as readonly unknown[]).includes(value),
  }),
  optionalString: (key: string, initial: string | null = null): ConfigField<string | null> => ({
    key,
    initial,
    expects: 'a string or null',
    accepts: orNull(isString),
  }),
  /** Names, a regular expression, or null. */
  names: (key: string): ConfigField<string | readonly string[] | null> => ({
    key,
    initial: null,
    expects: 'a list of names, a regular expression, or null',
    accepts: orNull((value) => (isString(value) && value !== '') || isStrings(value)),
  }),
  nameList: (key: string): ConfigField<readonly string[] | null> => ({
    key,
    initial: null,
    expects: 'a list of names or null',
    accepts: orNull(isStrings),
  }),
  /** Numbers by name or regular expression. */
  pattern: (
    key: string,
    least = Number.NEGATIVE_INFINITY,
  ): ConfigField<Readonly<Record<string, number>>> => ({
    key,
    initial: {},
    expects: Number.isFinite(least)
      ? `an object of names and whole numbers from ${least} on`
      : 'an object of names and numbers',
    accepts: (value) =>
      isObject(value) &&
      Object.values(value).every((n) =>
        Number.isFinite(least) ? Number.isSafeInteger(n) && (n as number) >= least : isNumber(n),
      ),
  }),
  layers: (key: string): ConfigField<number | readonly number[] | null> => ({
    key,
    initial: null,
    expects: 'a layer index, a list of them, or null',
    accepts: orNull(
      (value) => Number.isSafeInteger(value) || (Array.isArray(value) && value.every(Number.isSafeInteger)),
    ),
  }),
  /** A key that changes nothing here: any value is kept. */
  inert: (key: string, initial: unknown): ConfigField => ({
    key,
    initial,
    expects: 'JSON',
    accepts: () => true,
  }),
  /** A key of which only the default is supported. */
  unsupported: (key: string, initial: unknown, reason: string): ConfigField => ({
    key,
    initial,
    expects: 'JSON',
    accepts: () => true,
    unsupported: reason,
  }),
};

/** The version of Hugging Face PEFT whose files are written. */
export const PEFT_VERSION = '0.21.2';

const taskTypes = [
  'SEQ_CLS',
  'SEQ_2_SEQ_LM',
  'CAUSAL_LM',
  'TOKEN_CLS',
  'QUESTION_ANS',
  'FEATURE_EXTRACTION',
] as const;

/** Fields of every config (`PeftConfig`). Spread them into a tuner's schema. */
export const commonFields = {
  taskType: {
    key: 'task_type',
    initial: null,
    expects: `null or one of ${taskTypes.join(', ')}`,
    accepts: orNull((value) => (taskTypes as readonly unknown[]).includes(value)),
  } as ConfigField<(typeof taskTypes)[number] | null>,
  baseModelNameOrPath: field.optionalString('base_model_name_or_path'),
  revision: field.optionalString('revision'),
  autoMapping: field.inert('auto_mapping', null),
  /** The adapter is not trained, also while it is active. */
  inferenceMode: field.boolean('inference_mode', false),
  peftVersion: field.optionalString('peft_version', PEFT_VERSION),
} as const;

/** What the core reads of any config; the rest is the tuner's. */
export interface AdapterConfig extends ConfigOf<typeof commonFields> {
  readonly peftType: string;
  /** Modules that are trained whole, a copy for each adapter. */
  readonly modulesToSave?: readonly string[] | null;
  /** `none`; `all` biases of the model, or those of the changed layers only (`lora_only`), are trained, too. */
  readonly bias?: string;
}

export interface ParsedConfig<C> {
  readonly config: C;
  /** Keys that the tuner does not know. They are not in the config, as in PEFT. */
  readonly unknownKeys: readonly string[];
}

/** A config from options, under their names in TypeScript. @throws ConfigError, UnsupportedConfigError */
export function makeConfig<S extends ConfigSchema>(schema: S, options: Partial<ConfigOf<S>>): ConfigOf<S> {
  for (const name of Object.keys(options))
    if (!Object.hasOwn(schema, name)) {
      const guess = nearest(name, Object.keys(schema));
      throw new ConfigError(
        name,
        options[name],
        `there is no such option${guess ? `. Did you mean ${guess}?` : ''}`,
      );
    }
  return readFields(schema, (name) => [name, options[name]]);
}

/** A config from `adapter_config.json`. @throws ConfigError, UnsupportedConfigError */
export function parseConfig<S extends ConfigSchema>(schema: S, json: JsonObject): ParsedConfig<ConfigOf<S>> {
  const known = new Set(Object.values(schema).map((f) => f.key));
  return {
    config: readFields(schema, (name) => [schema[name]!.key, json[schema[name]!.key]]),
    unknownKeys: Object.keys(json).filter((key) => key !== 'peft_type' && !known.has(key)),
  };
}

/** All fields as `adapter_config.json` has them. */
export function configToJson(schema: ConfigSchema, config: AdapterConfig): JsonObject {
  const values = config as unknown as Readonly<Record<string, unknown>>;
  return {
    ...Object.fromEntries(Object.entries(schema).map(([name, f]) => [f.key, values[name]])),
    peft_type: config.peftType,
  };
}

/** Keys whose numbers Python writes as floats. */
export const floatKeys = (schema: ConfigSchema): string[] =>
  Object.values(schema)
    .filter((f) => f.float)
    .map((f) => f.key);

function readFields<S extends ConfigSchema>(
  schema: S,
  read: (name: keyof S & string) => readonly [string, unknown],
): ConfigOf<S> {
  const entries = Object.entries(schema).map(([name, f]) => {
    const [shownAs, given] = read(name);
    const value = given === undefined ? f.initial : given;
    if (f.unsupported !== undefined && !sameJson(value, f.initial))
      throw new UnsupportedConfigError(shownAs, value, f.unsupported);
    if (!f.accepts(value)) throw new ConfigError(shownAs, value, `must be ${f.expects}, got ${shown(value)}`);
    return [name, value];
  });
  return Object.fromEntries(entries) as ConfigOf<S>;
}

const sameJson = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
