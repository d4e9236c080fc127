/**
 * LoHa, low-rank Hadamard products (Hyeon-Woo et al., 2021, FedPara, arXiv:2108.06098; LyCORIS):
 *
 *     y = x Wᵀ + b + x ΔWᵀ,   ΔW = s · (A₁ B₁) ∘ (A₂ B₂),   A [out, r], B [r, in], s = alpha / r
 *
 * ΔW has rank up to r². It is a product of two matrices of rank r² itself, whose columns and rows are products of
 * columns of A₁ and A₂ and of rows of B₁ and B₂ (Khatri and Rao): where that costs fewer operations than ΔW, x goes
 * through them. B₂ starts at zero.
 */
import { type HostRandom, type Linear, type LinearDetails, Parameter, uniformArray } from '@graftjs/nn';
import {
  attentionTargets,
  defineLayerTuner,
  featureDropout,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  moduleDropout,
  patternValues,
  targetFields,
} from '@graftjs/peft';
import { add, cast, linear, matmul, mul, reshape, sub, type Tensor } from '@graftjs/tensor';

/** Every key of PEFT's `LoHaConfig` with its default. */
export const lohaSchema = {
  ...targetFields,
  ...layerFields,
  /** Rank of either factor. */
  r: field.count('r', 8),
  /** The change is scaled by alpha / r. */
  alpha: field.number('alpha', 8),
  /** In training, features of the change are dropped with this chance; the others grow accordingly. */
  rankDropout: field.chance('rank_dropout', 0),
  /** In training, the whole change of a layer is dropped with this chance. */
  moduleDropout: field.chance('module_dropout', 0),
  /** Of convolutions. */
  useEffectiveConv2d: field.inert('use_effective_conv2d', false),
  /** False: B₂ is random, too, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
  /** Ranks of some modules, by name or regular expression. */
  rankPattern: field.pattern('rank_pattern', 1),
  /** Alphas of some modules, by name or regular expression. */
  alphaPattern: field.pattern('alpha_pattern'),
} as const;

export type LohaConfig = LayerConfig<typeof lohaSchema, 'LOHA'>;

const method = defineLayerTuner({
  peftType: 'LOHA',
  schema: lohaSchema,
  kind: 'LoHa changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const paths = [...layers.keys()];
    const ranks = patternValues(config.rankPattern, 'rank_pattern', paths);
    const alphas = patternValues(config.alphaPattern, 'alpha_pattern', paths);
    const make = (path: string, layer: Linear): LayerAdapter => {
      const rank = ranks.of(path) ?? config.r;
      const scaling = (alphas.of(path) ?? config.alpha) / rank;
      return hadamard(path, layer, { rank, scaling, random, config });
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      warnings: [...ranks.warnings, ...alphas.warnings],
    };
  },
});

/** LoHa for linear layers: give it to a `PeftModel` among its tuners. */
export const loha = method.tuner;
/** A config of LoHa: PEFT's defaults and what the options say. @throws ConfigError */
export const lohaConfig = method.config;

interface Options {
  readonly rank: number;
  readonly scaling: number;
  readonly random: HostRandom;
  readonly config: LohaConfig;
}

function hadamard(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { rank, scaling, random, config }: Options,
): LayerAdapter {
  // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns.
  const parameter = (name: string, rows: number, columns: number, zero = false): Parameter =>
    new Parameter(
      [rows, columns],
      zero ? undefined : uniformArray(rows * columns, 1 / Math.sqrt(columns), random),
      { name: `${path}.${name}`, trainable: false },
    );
  const a1 = parameter('hada_w1_a', outFeatures, rank);
  const b1 = parameter('hada_w1_b', rank, inFeatures);
  const a2 = parameter('hada_w2_a', outFeatures, rank);
  const b2 = parameter('hada_w2_b', rank, inFeatures, config.initWeights);

  const delta = (): Tensor => mul(mul(matmul(a1, b1), matmul(a2, b2)), scaling);
  const isCheaper = rank * rank * (inFeatures + outFeatures) < inFeatures * outFeatures;
  const change = (x: Tensor): Tensor => {
    if (!isCheaper) return linear(x, delta());
    const down = mul(reshape(b1, [rank, 1, inFeatures]), reshape(b2, [1, rank, inFeatures]));
    const up = mul(reshape(a1, [outFeatures, rank, 1]), reshape(a2, [outFeatures, 1, rank]));
    const low = linear(x, reshape(down, [rank * rank, inFeatures]));
    return linear(mul(low, scaling), reshape(up, [outFeatures, rank * rank]));
  };
  const dropped = (change: Tensor, { context }: LinearDetails): Tensor => {
    const { rankDropout: p, moduleDropout: all } = config;
    const kept = featureDropout(change, { p, rescaled: true }, context, `${path}: rank_dropout`);
    return moduleDropout(kept, all, context, `${path}: module_dropout`);
  };
  return {
    parameters: { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 },
    output: (y, details) => add(y, cast(dropped(change(cast(details.input, 'f32')), details), y.dtype)),
    merged: ({ weight, ...rest }) => ({ ...rest, weight: add(weight, delta()) }),
    unmerged: ({ weight, ...rest }) => ({ ...rest, weight: sub(weight, delta()) }),
  };
}
