/**
 * DeLoRA, decoupled low-rank adaptation (Bini, Girrbach and Akata, 2025, arXiv:2503.18225): the change is a sum of r
 * matrices of rank one and equal size, so that λ alone says how far the weight moves.
 *
 *     y = x Wᵀ + b + B D A (n ∘ x),   D = diag(λ / (r ‖aᵢ‖ ‖bᵢ‖)),   A [r, in], B [out, r], λ [1]
 *
 * aᵢ are A's rows and bᵢ B's columns, with norms of at least 1e-4; n `[in]` are the norms of W's columns when the adapter
 * was made, which is saved with it. B starts at zero.
 */
import { type HostRandom, type Linear, Parameter, uniformArray } from '@graftjs/nn';
import {
  addedChange,
  attentionTargets,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  patternValues,
  targetFields,
} from '@graftjs/peft';
import { cast, div, linear, matmul, maximum, mul, sqrt, sum, type Tensor } from '@graftjs/tensor';

/** Every key of PEFT's `DeloraConfig` with its default. */
export const deloraSchema = {
  ...targetFields,
  ...layerFields,
  r: field.count('r', 8),
  /** Where λ starts: a bound for the size of the change. */
  deloraLambda: field.number('delora_lambda', 15),
  /** Chance that an element of the change's input is zero in training, whatever its name says. */
  moduleDropout: field.chance('module_dropout', 0),
  bias: field.oneOf('bias', 'none', ['none', 'all', 'delora_only']),
  /** False: B is random, too, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
  /** Ranks of some modules, by name or regular expression. */
  rankPattern: field.pattern('rank_pattern', 1),
  /** λ of some modules, by name or regular expression. */
  lambdaPattern: field.pattern('lambda_pattern'),
} as const;

export type DeloraConfig = LayerConfig<typeof deloraSchema, 'DELORA'>;

const method = defineLayerTuner({
  peftType: 'DELORA',
  schema: deloraSchema,
  kind: 'DeLoRA changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const paths = [...layers.keys()];
    const ranks = patternValues(config.rankPattern, 'rank_pattern', paths);
    const lambdas = patternValues(config.lambdaPattern, 'lambda_pattern', paths);
    const initialValues: [Parameter, Tensor][] = [];
    const make = (path: string, layer: Linear): LayerAdapter => {
      const rank = ranks.of(path) ?? config.r;
      const lambda = lambdas.of(path) ?? config.deloraLambda;
      const parts = makeParts(path, layer, { rank, lambda, random, fromZero: config.initWeights });
      initialValues.push([parts.norms, norms(cast(layer.matrix, 'f32'), 0, 0)]);
      const dropout = { dropout: config.moduleDropout, where: `${path}: module_dropout` };
      return boundedChange(layer, parts, dropout);
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      initialValues,
      warnings: [...ranks.warnings, ...lambdas.warnings],
    };
  },
});

/** DeLoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const delora = method.tuner;
/** A config of DeLoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const deloraConfig = method.config;

interface Parts {
  readonly a: Parameter;
  readonly b: Parameter;
  readonly lambda: Parameter;
  /** Of W's columns. */
  readonly norms: Parameter;
}

interface PartOptions {
  readonly rank: number;
  readonly lambda: number;
  readonly random: HostRandom;
  readonly fromZero: boolean;
}

function makeParts(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { rank, lambda, random, fromZero }: PartOptions,
): Parts {
  // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns.
  const start = (rows: number, columns: number): Float32Array<ArrayBuffer> =>
    uniformArray(rows * columns, 1 / Math.sqrt(columns), random);
  const parameter = (name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
  return {
    a: parameter('delora_A', [rank, inFeatures], start(rank, inFeatures)),
    b: parameter('delora_B', [outFeatures, rank], fromZero ? undefined : start(outFeatures, rank)),
    lambda: parameter('delora_lambda', [1], Float32Array.of(lambda)),
    norms: parameter('delora_w_norm', [inFeatures]),
  };
}

/** Norms along an axis, at least `least`; below it they are constant to the gradient. */
const norms = (x: Tensor, axis: number, least: number): Tensor =>
  sqrt(maximum(sum(mul(x, x), [axis]), least ** 2));

function boundedChange(
  layer: Linear,
  { a, b, lambda, norms: columnNorms }: Parts,
  dropout: { readonly dropout: number; readonly where: string },
): LayerAdapter {
  /** The diagonal of D, `[r]`. */
  const scale = (): Tensor => div(mul(lambda, 1 / a.shape[0]!), mul(norms(a, 1, 1e-4), norms(b, 0, 1e-4)));
  const change = (x: Tensor): Tensor => linear(mul(linear(mul(x, columnNorms), a), scale()), b);
  const delta = (): Tensor => mul(matmul(mul(b, scale()), a), columnNorms);
  return {
    parameters: { delora_A: a, delora_B: b, delora_lambda: lambda },
    buffers: { delora_w_norm: columnNorms },
    ...addedChange(layer, { change, delta, ...dropout }),
  };
}
