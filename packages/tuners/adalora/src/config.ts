import {
  ConfigError,
  type ConfigField,
  field,
  type LayerConfig,
  layerFields,
  targetFields,
} from '@graftjs/peft';

/** Of saved adapters: by layer, which of the first ranks are left. */
export type RankPattern = Readonly<Record<string, readonly boolean[]>>;

const unused = 'AdaLoRA does not use it, and PEFT ignores it';
const another = 'it does not go with AdaLoRA';
const isRanks = (value: unknown): boolean =>
  Array.isArray(value) && value.every((kept) => typeof kept === 'boolean');
const whole = (key: string, initial: number): ConfigField<number> => ({
  key,
  initial,
  expects: 'a whole number from 0 on',
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
});

/** Every key of PEFT's `AdaLoraConfig` with its default. */
export const adaloraSchema = {
  ...targetFields,
  ...layerFields,
  /** Rank of every target at the start. */
  initR: field.count('init_r', 12),
  /** Mean rank of the targets at the end. */
  targetR: field.count('target_r', 8),
  /** The change is scaled by this over the first rank, whatever rank is left. */
  loraAlpha: field.number('lora_alpha', 8),
  loraDropout: field.chance('lora_dropout', 0),
  /** Steps of the whole training. Must be given. */
  totalStep: field.optionalWholeNumber('total_step'),
  /** Steps before ranks are taken away. */
  tinit: whole('tinit', 0),
  /** Steps at the end in which ranks stay as they are. */
  tfinal: whole('tfinal', 0),
  /** Ranks are taken away every so many steps. */
  deltaT: field.count('deltaT', 1),
  /** Of the mean of sensitivities. */
  beta1: field.chance('beta1', 0.85),
  /** Of the mean of their uncertainty. */
  beta2: field.chance('beta2', 0.85),
  /** Weight of the penalty that keeps P and Q near orthogonal. */
  orthRegWeight: field.float('orth_reg_weight', 0.5),
  rankPattern: {
    key: 'rank_pattern',
    initial: null,
    expects: 'an object of lists of true and false, or null',
    accepts: (value) =>
      value === null || (typeof value === 'object' && Object.values(value as object).every(isRanks)),
  } as ConfigField<RankPattern | null>,
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'lora_only', 'adalora_only']),
  /** False starts all parts normal, which is for tests. */
  initLoraWeights: field.boolean('init_lora_weights', true),

  r: field.unsupported('r', 8, `${unused}; name init_r and target_r`),
  alphaPattern: field.unsupported('alpha_pattern', {}, unused),
  useRslora: field.unsupported('use_rslora', false, unused),
  useDora: field.unsupported('use_dora', false, another),
  loraBias: field.unsupported('lora_bias', false, another),
  aloraInvocationTokens: field.unsupported('alora_invocation_tokens', null, another),
  arrowConfig: field.unsupported('arrow_config', null, another),
  ensureWeightTying: field.unsupported('ensure_weight_tying', false, another),
  kasaConfig: field.unsupported('kasa_config', null, another),
  layerReplication: field.unsupported('layer_replication', null, another),
  megatronConfig: field.unsupported('megatron_config', null, another),
  montecloraConfig: field.unsupported('monteclora_config', null, another),
  targetParameters: field.unsupported('target_parameters', null, another),
  trainableTokenIndices: field.unsupported('trainable_token_indices', null, another),
  useBdlora: field.unsupported('use_bdlora', null, another),
  useQalora: field.unsupported('use_qalora', false, another),
  veloraConfig: field.unsupported('velora_config', null, another),
  cordaConfig: field.inert('corda_config', null),
  evaConfig: field.inert('eva_config', null),
  loftqConfig: field.inert('loftq_config', {}),
  loraGaConfig: field.inert('lora_ga_config', null),
  megatronCore: field.inert('megatron_core', 'megatron.core'),
  qaloraGroupSize: field.inert('qalora_group_size', 16),
} as const;

export type AdaloraConfig = LayerConfig<typeof adaloraSchema, 'ADALORA'>;

/** The rules of PEFT's config. @throws ConfigError */
export function checkConfig({
  totalStep,
  tinit,
  tfinal,
  orthRegWeight,
  initR,
  targetR,
}: AdaloraConfig): void {
  if (totalStep === null || totalStep < 1)
    throw new ConfigError('total_step', totalStep, 'must be the number of steps of the training');
  if (tinit >= totalStep - tfinal)
    throw new ConfigError('tinit', tinit, `and tfinal leave no steps of ${totalStep} to take ranks away in`);
  if (orthRegWeight < 0) throw new ConfigError('orth_reg_weight', orthRegWeight, 'must not be negative');
  if (targetR > initR) throw new ConfigError('target_r', targetR, `is more than the first rank, ${initR}`);
}
