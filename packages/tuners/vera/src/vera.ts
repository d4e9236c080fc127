/**
 * VeRA, vector-based random matrix adaptation (Kopiczko et al., 2023, arXiv:2310.11454):
 *
 *     y = x Wᵀ + b + λ_b ∘ (B (λ_d ∘ (A dropout(x)))),   A [r, in], B [out, r], λ_d [r], λ_b [out]
 *
 * A and B are random, frozen, and the same for all layers: each layer takes the first `in` columns of A and the first
 * `out` rows of B. Only λ_b, from 0, and λ_d, from `d_initial`, are trained.
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
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
import { linear, matmul, mul, narrow, reshape } from '@graftjs/tensor';
import { drawProjections } from './projections.ts';

/** Every key of PEFT's `VeraConfig` with its default. */
export const veraSchema = {
  ...chosenFields,
  ...layerFields,
  /** Rows of A. More than LoRA's rank: it costs one trained number. */
  r: field.count('r', 256),
  /** Seed of A and B. */
  projectionPrngKey: field.wholeNumber('projection_prng_key', 0),
  /** A and B are saved. False: they are drawn again from the seed, bit for bit as torch draws them. */
  saveProjection: field.boolean('save_projection', true),
  veraDropout: field.chance('vera_dropout', 0),
  /** Where λ_d starts. */
  dInitial: field.float('d_initial', 0.1),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'vera_only']),
  /** False starts λ_b at 1 and λ_d normal, which is for tests. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type VeraConfig = LayerConfig<typeof veraSchema, 'VERA'>;

const method = defineLayerTuner({
  peftType: 'VERA',
  schema: veraSchema,
  kind: 'VeRA changes linear layers',
  defaultTargets: { ...attentionTargets, phi: ['q_proj', 'v_proj'] },
  adapt: (config, layers, { random }) => {
    const { r } = config;
    const [vera_A, vera_B] = drawProjections(config.projectionPrngKey, [...layers.values()], {
      prefix: 'vera',
      rows: r,
      rank: r,
    });
    const make = (path: string, layer: Linear): LayerAdapter => {
      const { inFeatures, outFeatures } = layer;
      const parameter = (name: string, data: Float32Array<ArrayBuffer>): Parameter =>
        new Parameter([data.length], data, { name: `${path}.${name}`, trainable: false });
      const startOfD = config.initWeights
        ? new Float32Array(r).fill(config.dInitial)
        : normalArray(r, 1, random);
      const d = parameter('vera_lambda_d', startOfD);
      const b = parameter('vera_lambda_b', new Float32Array(outFeatures).fill(config.initWeights ? 0 : 1));
      const a = narrow(vera_A, 1, 0, inFeatures);
      const bMatrix = narrow(vera_B, 0, 0, outFeatures);
      return {
        parameters: { vera_lambda_b: b, vera_lambda_d: d },
        ...addedChange(layer, {
          change: (x) => mul(linear(mul(linear(x, a), d), bMatrix), b),
          delta: () => mul(matmul(mul(bMatrix, d), a), reshape(b, [outFeatures, 1])),
          dropout: config.veraDropout,
          where: `${path}: vera_dropout`,
        }),
      };
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      shared: { vera_A, vera_B },
      sharedIsSaved: config.saveProjection,
    };
  },
});

/** VeRA for linear layers: give it to a `PeftModel` among its tuners. */
export const vera = method.tuner;
/** A config of VeRA: PEFT's defaults and what the options say. @throws ConfigError */
export const veraConfig = method.config;
