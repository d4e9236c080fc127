import type { JsonObject } from '@graftjs/checkpoint';
import {
  type ConfigField,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  type NonLinearity,
  nonLinearities,
  type ParsedConfig,
  parseConfig,
} from '@graftjs/peft';

const layers: ConfigField<'all' | readonly number[]> = {
  key: 'layers',
  initial: 'all',
  expects: "'all' or a list of layer indices from 0 on",
  accepts: (value) =>
    value === 'all' || (Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)),
};

type Plain = Exclude<NonLinearity, 'prelu'>;

const nonLinearity: ConfigField<Plain | null> = {
  key: 'non_linearity',
  initial: null,
  expects: `null or one of ${nonLinearities.filter((name) => name !== 'prelu').join(', ')}`,
  accepts: (value) =>
    value === null || (value !== 'prelu' && (nonLinearities as readonly unknown[]).includes(value)),
};

/** Every key of AdapterHub's `ReftConfig`; the defaults are those of `LoReftConfig`. */
export const reftSchema = {
  ...commonFields,
  /** Modules of the base that are trained whole beside it. */
  modulesToSave: field.nameList('modules_to_save'),
  architecture: field.oneOf('architecture', 'reft', ['reft']),
  /** After which layers hidden states are changed. */
  layers,
  /** Of how many tokens at the beginning of each text. */
  prefixPositions: field.countOrZero('prefix_positions', 3),
  /** Of how many at its end: the pass must be told which keys are padding, unless all texts fill their rows. */
  suffixPositions: field.countOrZero('suffix_positions', 0),
  /** Dimensions of the space in which states are changed. */
  r: field.count('r', 1),
  /** Whether the rows of R are orthonormal. */
  orthogonality: field.boolean('orthogonality', true),
  /** One change for the beginning and the end. */
  tiedWeights: field.boolean('tied_weights', false),
  /** Whether a state's own coordinates are taken away. AdapterHub reads this key, and leaves it out of its files. */
  subtractProjection: field.boolean('subtract_projection', true),
  /** Of changed states, in training. */
  dropout: field.chance('dropout', 0.05),
  nonLinearity,
  dtype: field.unsupported('dtype', null, 'interventions are computed in f32'),
  outputReft: field.inert('output_reft', true),
  /** All changes of the model start with the same numbers, those of this seed. */
  initWeightsSeed: field.optionalWholeNumber('init_weights_seed'),
} as const;

export type ReftConfig = ConfigOf<typeof reftSchema> & { readonly peftType: 'REFT' };
export type ReftOptions = Partial<ConfigOf<typeof reftSchema>>;

const preset =
  (defaults: ReftOptions) =>
  (options: ReftOptions = {}): ReftConfig => ({
    ...makeConfig(reftSchema, { ...defaults, ...options }),
    peftType: 'REFT',
  });

/** Wu et al., 2024 (arXiv:2404.03592): in a subspace with an orthonormal basis. @throws ConfigError */
export const loReftConfig = preset({});

/** LoReFT without orthonormality. */
export const noReftConfig = preset({ orthogonality: false });

/** NoReFT that adds, and takes nothing away: LoRA of hidden states. */
export const diReftConfig = preset({ orthogonality: false, subtractProjection: false });

/** The config in an `adapter_config.json`. @throws ConfigError, UnsupportedConfigError */
export function parseReftConfig(json: JsonObject): ParsedConfig<ReftConfig> {
  const { config, unknownKeys } = parseConfig(reftSchema, json);
  return { config: { ...config, peftType: 'REFT' }, unknownKeys };
}

export const reftConfigToJson = (config: ReftConfig): JsonObject => configToJson(reftSchema, config);

export const reftFloatKeys = floatKeys(reftSchema);
