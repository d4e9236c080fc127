/**
 * PVeRA, probabilistic VeRA (2025, arXiv:2512.07703): what stands between VeRA's matrices is drawn from a normal
 * distribution whose mean and variance depend on the input.
 *
 *     [μ, s] = λ_d ∘ (A dropout(x)),   A [2r, in], λ_d [2r]
 *     z = μ + ε ∘ exp(s / 2) in training, ε normal;   z = μ otherwise
 *     y = x Wᵀ + b + λ_b ∘ (B z),   B [out, r], λ_b [out]
 *
 * A and B are random, frozen, and the same for all layers, as VeRA's. λ_b starts at 0, λ_d at `d_initial`.
 */
import { dropoutDraw, type Linear, normalArray, Parameter, trainingDropout } from '@graftjs/nn';
import {
  addedChange,
  attentionTargets,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
} from '@graftjs/peft';
import {
  add,
  cast,
  cos,
  exp,
  linear,
  log,
  matmul,
  mul,
  narrow,
  reshape,
  sqrt,
  sub,
  type Tensor,
  uniform,
} from '@graftjs/tensor';
import { drawProjections } from './projections.ts';

/** Every key of PEFT's `PveraConfig` with its default. */
export const pveraSchema = {
  ...chosenFields,
  ...layerFields,
  /** Elements of z; A has twice as many rows. */
  r: field.count('r', 256),
  /** Seed of A and B. */
  projectionPrngKey: field.wholeNumber('projection_prng_key', 0),
  /** A and B are saved. False: they are drawn again from the seed, bit for bit as torch draws them. */
  saveProjection: field.boolean('save_projection', true),
  pveraDropout: field.chance('pvera_dropout', 0),
  /** Where λ_d starts. */
  dInitial: field.float('d_initial', 0.1),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'pvera_only']),
  /** False starts λ_b at 1 and λ_d normal, which is for tests. */
  initWeights: field.boolean('init_weights', true),
  /** z is drawn outside of training, too: such passes need a Context with a seed. */
  sampleAtInference: field.boolean('sample_at_inference', false),
  /** Seed of PEFT's generator. Here ε comes from the seed of the pass, whatever this says. */
  generatorSeed: field.optionalWholeNumber('generator_seed'),
} as const;

export type PveraConfig = LayerConfig<typeof pveraSchema, 'PVERA'>;

const method = defineLayerTuner({
  peftType: 'PVERA',
  schema: pveraSchema,
  kind: 'PVeRA changes linear layers',
  defaultTargets: { ...attentionTargets, phi: ['q_proj', 'v_proj'] },
  adapt: (config, layers, { random }) => {
    const { r, initWeights } = config;
    const [pvera_A, pvera_B] = drawProjections(config.projectionPrngKey, [...layers.values()], {
      prefix: 'pvera',
      rows: 2 * r,
      rank: r,
    });
    const make = (path: string, layer: Linear): LayerAdapter => {
      const { inFeatures, outFeatures } = layer;
      const parameter = (name: string, data: Float32Array<ArrayBuffer>): Parameter =>
        new Parameter([data.length], data, { name: `${path}.${name}`, trainable: false });
      const startOfD = initWeights
        ? new Float32Array(2 * r).fill(config.dInitial)
        : normalArray(2 * r, 1, random);
      const d = parameter('pvera_lambda_d', startOfD);
      const b = parameter('pvera_lambda_b', new Float32Array(outFeatures).fill(initWeights ? 0 : 1));
      const aOf = (part: 0 | 1): Tensor => narrow(narrow(pvera_A, 1, 0, inFeatures), 0, part * r, r);
      const dOf = (part: 0 | 1): Tensor => narrow(d, 0, part * r, r);
      const half = (x: Tensor, part: 0 | 1): Tensor => mul(linear(x, aOf(part)), dOf(part)); // [..., r]
      const outputs = narrow(pvera_B, 0, 0, outFeatures);
      const change = (z: Tensor): Tensor => mul(linear(z, outputs), b);
      const atMean = addedChange(layer, {
        change: (x) => change(half(x, 0)),
        delta: () => mul(matmul(mul(outputs, dOf(0)), aOf(0)), reshape(b, [outFeatures, 1])),
        dropout: config.pveraDropout,
        where: `${path}: pvera_dropout`,
      });
      return {
        parameters: { pvera_lambda_b: b, pvera_lambda_d: d },
        ...atMean,
        output: (y, details) => {
          const { input, context } = details;
          if (!context.training && !config.sampleAtInference) return atMean.output(y, details);
          const x = trainingDropout(
            cast(input, 'f32'),
            config.pveraDropout,
            context,
            `${path}: pvera_dropout`,
          );
          const z = drawNormal(half(x, 0), half(x, 1), dropoutDraw(context, `${path}: PVeRA`));
          return add(y, cast(change(z), y.dtype));
        },
      };
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      shared: { pvera_A, pvera_B },
      sharedIsSaved: config.saveProjection,
    };
  },
});

/** PVeRA for linear layers: give it to a `PeftModel` among its tuners. */
export const pvera = method.tuner;
/** A config of PVeRA: PEFT's defaults and what the options say. @throws ConfigError */
export const pveraConfig = method.config;

/** μ + ε ∘ exp(s / 2), ε normal by Box and Muller from two uniform numbers an element. */
export function drawNormal(
  mean: Tensor,
  logVariance: Tensor,
  { seed, stream }: { readonly seed: Tensor; readonly stream: number },
): Tensor {
  const drawn = uniform(seed, stream, [2, ...mean.shape]);
  const part = (i: number): Tensor => reshape(narrow(drawn, 0, i, 1), mean.shape);
  const radius = sqrt(mul(log(sub(1, part(0))), -2));
  const noise = mul(radius, cos(mul(part(1), 2 * Math.PI)));
  return add(mean, mul(noise, exp(mul(logVariance, 0.5))));
}
