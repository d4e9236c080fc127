import {
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

type JsonObject = Parameters<typeof parseConfig>[1];

const perLayer: ConfigField<number | Readonly<Record<string, number>>> = {
  key: 'reduction_factor',
  initial: 16,
  expects: 'a number above 0, or an object of layer indices and such numbers with a "default"',
  accepts: (value) => {
    const isFactor = (n: unknown): boolean => typeof n === 'number' && Number.isFinite(n) && n > 0;
    if (isFactor(value)) return true;
    return typeof value === 'object' && value !== null && Object.values(value).every(isFactor);
  },
  float: true,
};

const scaling: ConfigField<number | 'learned' | 'channel'> = {
  key: 'scaling',
  initial: 1,
  expects: "a number, 'learned' or 'channel'",
  accepts: (value) => typeof value === 'number' || value === 'learned' || value === 'channel',
  float: true,
};

const layerIds: ConfigField<readonly number[]> = {
  key: 'leave_out',
  initial: [],
  expects: 'a list of layer indices from 0 on',
  accepts: (value) => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0),
};

export const nonLinearities = [
  'relu',
  'gelu',
  'gelu_new',
  'silu',
  'swish',
  'tanh',
  'sigmoid',
  'leakyrelu',
] as const;
export type NonLinearity = (typeof nonLinearities)[number];

/** Every key of AdapterHub's `BnConfig`; the defaults are those of `SeqBnConfig` (Pfeiffer). */
export const bottleneckSchema = {
  ...commonFields,
  /** Modules of the base that are trained whole beside the adapter, such as the blocks' norms. */
  modulesToSave: field.nameList('modules_to_save'),
  /** An adapter after the attention's output projection. */
  mhAdapter: field.boolean('mh_adapter', false),
  /** An adapter after the feed-forward network. */
  outputAdapter: field.boolean('output_adapter', true),
  /** The bottleneck has hidden / reductionFactor units; below 1 it is wider than the model. */
  reductionFactor: perLayer,
  nonLinearity: field.oneOf('non_linearity', 'relu', nonLinearities),
  /** The block's skip connection (and its norm, in blocks that normalise after it) comes before the adapter. */
  originalLnBefore: field.boolean('original_ln_before', true),
  /** It comes after the adapter. */
  originalLnAfter: field.boolean('original_ln_after', true),
  /** A layer norm of the adapter's own at its beginning. */
  lnBefore: field.boolean('ln_before', false),
  /** A layer norm of the adapter's own at its end. */
  lnAfter: field.boolean('ln_after', false),
  /**
   * `bert`: weights normal with deviation 0.02, so that a new adapter is nearly the identity. `houlsby`: the same with
   * 0.01, cut at two deviations. `mam_adapter`: the second projection zero, so that it changes nothing.
   */
  initWeights: field.oneOf('init_weights', 'bert', ['bert', 'mam_adapter', 'houlsby']),
  initWeightsSeed: field.inert('init_weights_seed', null),
  /** Beside the sub-layer, on what its skip connection carries, instead of after it. */
  isParallel: field.boolean('is_parallel', false),
  /** Factor of what the adapter adds: a number, one that is learnt, or one for each channel. */
  scaling,
  /** A learnt gate between 0 and 1 for each text. */
  useGating: field.boolean('use_gating', false),
  /** The adapter's own skip connection starts before the block's norm. */
  residualBeforeLn: field.oneOf('residual_before_ln', true, [true, false, 'post_add']),
  /** The adapter's own skip connection ends before its norm at the end. */
  adapterResidualBeforeLn: field.boolean('adapter_residual_before_ln', false),
  /** Layers without an adapter, such as the lower ones. */
  leaveOut: layerIds,
  dropout: field.chance('dropout', 0),

  invAdapter: field.unsupported('inv_adapter', null, 'invertible adapters are not there yet'),
  invAdapterReductionFactor: field.inert('inv_adapter_reduction_factor', null),
  crossAdapter: field.unsupported('cross_adapter', false, 'there are no models with cross-attention yet'),
  stochasticDepth: field.unsupported('stochastic_depth', 0, 'it is for vision models'),
  phmLayer: field.unsupported('phm_layer', false, 'Compacter is not there yet'),
  phmDim: field.inert('phm_dim', 4),
  factorizedPhmW: field.inert('factorized_phm_W', true),
  sharedWPhm: field.inert('shared_W_phm', false),
  sharedPhmRule: field.inert('shared_phm_rule', true),
  factorizedPhmRule: field.inert('factorized_phm_rule', false),
  phmCInit: field.inert('phm_c_init', 'normal'),
  phmInitRange: field.inert('phm_init_range', 0.0001),
  learnPhm: field.inert('learn_phm', true),
  hypercomplexNonlinearity: field.inert('hypercomplex_nonlinearity', 'glorot-uniform'),
  phmRank: field.inert('phm_rank', 1),
  phmBias: field.inert('phm_bias', true),
} as const;

export type BottleneckConfig = ConfigOf<typeof bottleneckSchema> & { readonly peftType: 'BOTTLENECK' };
export type BottleneckOptions = Partial<ConfigOf<typeof bottleneckSchema>>;

const complete = (config: ConfigOf<typeof bottleneckSchema>): BottleneckConfig => ({
  ...config,
  peftType: 'BOTTLENECK',
});

const preset =
  (defaults: BottleneckOptions) =>
  (options: BottleneckOptions = {}): BottleneckConfig =>
    complete(makeConfig(bottleneckSchema, { ...defaults, ...options }));

/** Pfeiffer et al., 2020 (arXiv:2005.00247): one adapter a block, after the feed-forward network. @throws ConfigError */
export const seqBnConfig = preset({});

/** Houlsby et al., 2019 (arXiv:1902.00751): two a block, after attention and after the feed-forward network. */
export const doubleSeqBnConfig = preset({
  mhAdapter: true,
  originalLnBefore: false,
  nonLinearity: 'swish',
});

/** He et al., 2021 (arXiv:2110.04366): beside the feed-forward network, scaled by 4. */
export const parBnConfig = preset({
  originalLnBefore: false,
  isParallel: true,
  initWeights: 'mam_adapter',
  scaling: 4,
  reductionFactor: 2,
});

/** The config in an `adapter_config.json`. @throws ConfigError, UnsupportedConfigError */
export function parseBottleneckConfig(json: JsonObject): ParsedConfig<BottleneckConfig> {
  const { config, unknownKeys } = parseConfig(bottleneckSchema, json);
  return { config: complete(config), unknownKeys };
}

export const bottleneckConfigToJson = (config: BottleneckConfig): JsonObject =>
  configToJson(bottleneckSchema, config);

export const bottleneckFloatKeys = floatKeys(bottleneckSchema);
