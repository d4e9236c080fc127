/**
 * LoKr, Kronecker products (Hyeon-Woo et al., 2021, arXiv:2108.06098; Yeh et al., 2023, LyCORIS, arXiv:2309.14859):
 *
 *     y = x Wᵀ + b + s · x (W₁ ⊗ W₂)ᵀ,   W₁ [a, c], W₂ [b, d], a b = out, c d = in, s = alpha / r
 *
 * W₂, and with `decompose_both` W₁, is a product of rank r where that is smaller. With x as a matrix X [c, d] the change
 * is W₁ X W₂ᵀ: the Kronecker product is never made, but for merging. W₁ (of a product, its left factor) starts at zero.
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
import { add, cast, linear, matmul, mul, reshape, sub, type Tensor, transpose } from '@graftjs/tensor';
import { factorization } from './factorization.ts';

/** Every key of PEFT's `LoKrConfig` with its default. */
export const lokrSchema = {
  ...targetFields,
  ...layerFields,
  /** Rank of factors that are products. */
  r: field.count('r', 8),
  /** The change is scaled by alpha / r. */
  alpha: field.number('alpha', 8),
  /** In training, features of the change are dropped with this chance. */
  rankDropout: field.chance('rank_dropout', 0),
  /** In training, the whole change of a layer is dropped with this chance. */
  moduleDropout: field.chance('module_dropout', 0),
  /** Of convolutions. */
  useEffectiveConv2d: field.inert('use_effective_conv2d', false),
  /** W₁ may be a product, too. */
  decomposeBoth: field.boolean('decompose_both', false),
  /** Size of W₁ where it divides those of the layer; -1: near the square roots. */
  decomposeFactor: {
    ...field.number('decompose_factor', -1),
    expects: '-1 or a whole number from 1 on',
    accepts: (value: unknown) => value === -1 || (Number.isSafeInteger(value) && (value as number) >= 1),
  },
  /** Features that are kept grow according to `rank_dropout`. */
  rankDropoutScale: field.boolean('rank_dropout_scale', false),
  /** `lycoris`: W₂ starts at zero instead of W₁. False: both are random, and the adapter changes the model at once. */
  initWeights: field.oneOf('init_weights', true, [true, false, 'lycoris']),
  /** Ranks of some modules, by name or regular expression. */
  rankPattern: field.pattern('rank_pattern', 1),
  /** Alphas of some modules, by name or regular expression. */
  alphaPattern: field.pattern('alpha_pattern'),
} as const;

export type LokrConfig = LayerConfig<typeof lokrSchema, 'LOKR'>;

const method = defineLayerTuner({
  peftType: 'LOKR',
  schema: lokrSchema,
  kind: 'LoKr changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const paths = [...layers.keys()];
    const ranks = patternValues(config.rankPattern, 'rank_pattern', paths);
    const alphas = patternValues(config.alphaPattern, 'alpha_pattern', paths);
    const make = (path: string, layer: Linear): LayerAdapter => {
      const rank = ranks.of(path) ?? config.r;
      const scaling = (alphas.of(path) ?? config.alpha) / rank;
      return kronecker(path, layer, { rank, scaling, random, config });
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      warnings: [...ranks.warnings, ...alphas.warnings],
    };
  },
});

/** LoKr for linear layers: give it to a `PeftModel` among its tuners. */
export const lokr = method.tuner;
/** A config of LoKr: PEFT's defaults and what the options say. @throws ConfigError */
export const lokrConfig = method.config;

/** A matrix `[rows, columns]` by itself, or as a product of rank r. */
interface Factor {
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly matrix: () => Tensor;
  /** `x Mᵀ` over the last axis. */
  readonly apply: (x: Tensor) => Tensor;
}

interface FactorOptions {
  /** On disk: `lokr_w1`. */
  readonly name: string;
  readonly path: string;
  readonly shape: readonly [number, number];
  /** Of a product; undefined where the matrix is kept whole. */
  readonly rank: number | undefined;
  /** What of it starts at zero: of a product, one of the two. */
  readonly zero: 'left' | 'right' | undefined;
  readonly random: HostRandom;
}

function makeFactor({ name, path, shape: [rows, columns], rank, zero, random }: FactorOptions): Factor {
  // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns.
  const parameter = (suffix: string, m: number, n: number, isZero: boolean): Parameter =>
    new Parameter([m, n], isZero ? undefined : uniformArray(m * n, 1 / Math.sqrt(n), random), {
      name: `${path}.${name}${suffix}`,
      trainable: false,
    });
  if (rank === undefined) {
    const whole = parameter('', rows, columns, zero !== undefined);
    return { parameters: { [name]: whole }, matrix: () => whole, apply: (x) => linear(x, whole) };
  }
  const left = parameter('_a', rows, rank, zero === 'left');
  const right = parameter('_b', rank, columns, zero === 'right');
  return {
    parameters: { [`${name}_a`]: left, [`${name}_b`]: right },
    matrix: () => matmul(left, right),
    apply: (x) => linear(linear(x, right), left),
  };
}

interface Options {
  readonly rank: number;
  readonly scaling: number;
  readonly random: HostRandom;
  readonly config: LokrConfig;
}

function kronecker(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { rank, scaling, random, config }: Options,
): LayerAdapter {
  const { decomposeBoth, decomposeFactor, initWeights } = config;
  const [a, b] = factorization(outFeatures, decomposeFactor);
  const [c, d] = factorization(inFeatures, decomposeFactor);
  const start = initWeights === true ? 'w1' : initWeights === 'lycoris' ? 'w2' : undefined;
  const w1 = makeFactor({
    name: 'lokr_w1',
    path,
    shape: [a, c],
    rank: decomposeBoth && rank < Math.max(a, c) / 2 ? rank : undefined,
    zero: start === 'w1' ? 'left' : undefined,
    random,
  });
  const w2 = makeFactor({
    name: 'lokr_w2',
    path,
    shape: [b, d],
    rank: rank < Math.max(b, d) / 2 ? rank : undefined,
    zero: start === 'w2' ? 'right' : undefined,
    random,
  });

  const delta = (): Tensor => {
    const product = mul(reshape(w1.matrix(), [a, 1, c, 1]), reshape(w2.matrix(), [1, b, 1, d]));
    return mul(reshape(product, [outFeatures, inFeatures]), scaling);
  };
  const change = (x: Tensor): Tensor => {
    const rows = w2.apply(reshape(x, [-1, c, d])); // [tokens, c, b]
    const columns = w1.apply(transpose(rows)); // [tokens, b, a]
    return mul(reshape(transpose(columns), [...x.shape.slice(0, -1), outFeatures]), scaling);
  };
  const dropped = (change: Tensor, { context }: LinearDetails): Tensor => {
    const drop = { p: config.rankDropout, rescaled: config.rankDropoutScale };
    const kept = featureDropout(change, drop, context, `${path}: rank_dropout`);
    return moduleDropout(kept, config.moduleDropout, context, `${path}: module_dropout`);
  };
  return {
    parameters: { ...w1.parameters, ...w2.parameters },
    output: (y, details) => add(y, cast(dropped(change(cast(details.input, 'f32')), details), y.dtype)),
    merged: ({ weight, ...rest }) => ({ ...rest, weight: add(weight, delta()) }),
    unmerged: ({ weight, ...rest }) => ({ ...rest, weight: sub(weight, delta()) }),
  };
}
