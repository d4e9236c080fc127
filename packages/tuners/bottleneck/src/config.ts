import {
  ConfigError,
  type ConfigField,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  nonLinearities,
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

const invertible: ConfigField<'nice' | 'glow' | null> = {
  key: 'inv_adapter',
  initial: null,
  expects: "null, 'nice' or 'glow'",
  accepts: (value) => value === null || value === 'nice' || value === 'glow',
};

const invertibleFactor: ConfigField<number | null> = {
  key: 'inv_adapter_reduction_factor',
  initial: null,
  expects: 'a number above 0, or null',
  accepts: (value) => value === null || (typeof value === 'number' && Number.isFinite(value) && value > 0),
  float: true,
};

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
  /** Every adapter of the model starts with the same numbers, those of this seed. */
  initWeightsSeed: field.optionalWholeNumber('init_weights_seed'),
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

  /** An adapter of the embeddings that can be inverted, and its inverse before the output embeddings. */
  invAdapter: invertible,
  /** Its networks have so many times fewer units than half the features. */
  invAdapterReductionFactor: invertibleFactor,
  crossAdapter: field.unsupported('cross_adapter', false, 'there are no adapters after cross-attention yet'),
  /** Chance that a text goes without the adapter in training. */
  stochasticDepth: field.chance('stochastic_depth', 0),
  /** Projections as sums of Kronecker products: Compacter. The keys that follow say how. */
  phmLayer: field.boolean('phm_layer', false),
  /** n: matrices in a sum, and rows and columns of the rule. Hidden size and units must be multiples of it. */
  phmDim: field.count('phm_dim', 4),
  /** The other matrices are products of two of rank `phmRank`. */
  factorizedPhmW: field.boolean('factorized_phm_W', true),
  /** They are the same in all layers. */
  sharedWPhm: field.boolean('shared_W_phm', false),
  /** The rule is the same in all layers, and in both projections. */
  sharedPhmRule: field.boolean('shared_phm_rule', true),
  /** The rule's matrices are products of a column and a row. */
  factorizedPhmRule: field.boolean('factorized_phm_rule', false),
  /** What the rule starts from. */
  phmCInit: field.oneOf('phm_c_init', 'normal', ['normal', 'uniform']),
  /** Deviation of a shared rule. */
  phmInitRange: field.float('phm_init_range', 0.0001),
  /** Whether the rule is trained. */
  learnPhm: field.boolean('learn_phm', true),
  /** AdapterHub draws by Glorot's normal distribution whatever this says. */
  hypercomplexNonlinearity: field.inert('hypercomplex_nonlinearity', 'glorot-uniform'),
  phmRank: field.count('phm_rank', 1),
  phmBias: field.boolean('phm_bias', true),
} as const;

export type BottleneckConfig = ConfigOf<typeof bottleneckSchema> & { readonly peftType: 'BOTTLENECK' };
export type BottleneckOptions = Partial<ConfigOf<typeof bottleneckSchema>>;

/** @throws ConfigError where options contradict each other */
function complete(values: ConfigOf<typeof bottleneckSchema>): BottleneckConfig {
  const config: BottleneckConfig = { ...values, peftType: 'BOTTLENECK' };
  if (config.invAdapter && config.invAdapterReductionFactor === null)
    throw new ConfigError('inv_adapter_reduction_factor', null, 'is needed with inv_adapter; 2 is usual');
  if (config.invAdapter && config.nonLinearity === 'prelu')
    throw new ConfigError(
      'non_linearity',
      'prelu',
      'has a parameter, which invertible adapters have no place for',
    );
  if (!config.phmLayer) return config;
  if (config.initWeights !== 'bert')
    throw new ConfigError(
      'init_weights',
      config.initWeights,
      "must be 'bert' with phm_layer, which has its own",
    );
  if (config.sharedWPhm && typeof config.reductionFactor !== 'number')
    throw new ConfigError(
      'reduction_factor',
      config.reductionFactor,
      'must be one number with shared_W_phm: layers of different widths cannot share',
    );
  return config;
}

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

/** Mahabadi et al., 2021 (arXiv:2106.04647): Houlsby's places, with projections as sums of Kronecker products. */
export const compacterConfig = preset({
  mhAdapter: true,
  originalLnBefore: false,
  nonLinearity: 'gelu',
  phmLayer: true,
  reductionFactor: 32,
});

/** Compacter++: after the feed-forward network only. */
export const compacterPlusPlusConfig = preset({ nonLinearity: 'gelu', phmLayer: true, reductionFactor: 32 });

/** Pfeiffer's adapters, and an invertible one of the embeddings (MAD-X; Pfeiffer et al., 2020, arXiv:2005.00052). */
export const seqBnInvConfig = preset({ invAdapter: 'nice', invAdapterReductionFactor: 2 });

/** Houlsby's adapters, and an invertible one of the embeddings. */
export const doubleSeqBnInvConfig = preset({
  mhAdapter: true,
  originalLnBefore: false,
  nonLinearity: 'swish',
  invAdapter: 'nice',
  invAdapterReductionFactor: 2,
});

/** Steitz and Roth, 2024 (arXiv:2406.06820): a scale for each channel, and texts that go without in training. */
export const adapterPlusConfig = preset({
  originalLnAfter: false,
  residualBeforeLn: false,
  stochasticDepth: 0.1,
  initWeights: 'houlsby',
  scaling: 'channel',
  reductionFactor: 96,
  nonLinearity: 'gelu',
});

/** The config in an `adapter_config.json`. @throws ConfigError, UnsupportedConfigError */
export function parseBottleneckConfig(json: JsonObject): ParsedConfig<BottleneckConfig> {
  const { config, unknownKeys } = parseConfig(bottleneckSchema, json);
  return { config: complete(config), unknownKeys };
}

export const bottleneckConfigToJson = (config: BottleneckConfig): JsonObject =>
  configToJson(bottleneckSchema, config);

export const bottleneckFloatKeys = floatKeys(bottleneckSchema);
