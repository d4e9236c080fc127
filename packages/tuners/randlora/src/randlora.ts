/**
 * RandLoRA (Albert et al., 2025, arXiv:2502.00987): a full-rank change as a trained sum of random low-rank ones. With
 * N = ⌈min(in, out) / r⌉ bases
 *
 *     y = x Wᵀ + b + α / r · x ΔWᵀ,   ΔW = Σ_i B_i diag(λ_i) A diag(γ_i)   (transposed where in > out)
 *
 * A `[r, min]` and B_i `[max, r]` are random, frozen, and the same for all layers, each of which takes what it needs of
 * them; λ `[r, N]`, from 0, and γ `[N, min]`, from 1 / its longer side, are trained. A goes to the smaller side, so that
 * γ is short. Computed through the N r rows of all bases at once.
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  addedChange,
  attentionTargets,
  BASE_PREFIX,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
} from '@graftjs/peft';
import { linear, matmul, mul, narrow, reshape, type Tensor, transpose } from '@graftjs/tensor';
import { drawBases } from './bases.ts';

/** Every key of PEFT's `RandLoraConfig` with its default. */
export const randloraSchema = {
  ...chosenFields,
  ...layerFields,
  /** Rank of a basis. The smaller, the more bases there are and the more is trained. */
  r: field.count('r', 32),
  /** The change is scaled by randloraAlpha / r. */
  randloraAlpha: field.number('randlora_alpha', 640),
  /** Seed of the bases. */
  projectionPrngKey: field.wholeNumber('projection_prng_key', 0),
  /** The bases are saved. False: they are drawn again from the seed as torch draws them. */
  saveProjection: field.boolean('save_projection', true),
  /** Bases of -1, 0 and 1, with chances of 1/6, 2/3, 1/6. */
  sparse: field.boolean('sparse', false),
  /** With chances of 1 / 2√d, 1 - 1 / √d, 1 / 2√d for the smaller side d. */
  verySparse: field.boolean('very_sparse', false),
  randloraDropout: field.chance('randlora_dropout', 0),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'randlora_only']),
  /** False starts λ normal, which is for tests. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type RandloraConfig = LayerConfig<typeof randloraSchema, 'RANDLORA'>;

const method = defineLayerTuner({
  peftType: 'RANDLORA',
  schema: randloraSchema,
  kind: 'RandLoRA changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const { r } = config;
    const shared = drawBases(config, [...layers.values()]);
    const make = (path: string, layer: Linear): LayerAdapter => {
      const { inFeatures, outFeatures } = layer;
      const [small, large] = [Math.min(inFeatures, outFeatures), Math.max(inFeatures, outFeatures)];
      const n = Math.ceil(small / r);
      const parameter = (
        name: string,
        shape: readonly number[],
        data: Float32Array<ArrayBuffer>,
      ): Parameter => new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
      const startOfLambda = config.initWeights ? new Float32Array(r * n) : normalArray(r * n, 1, random);
      const startOfGamma = 1 / (config.initWeights ? Math.max(n, small) : large);
      const lambda = parameter('randlora_lambda', [r, n], startOfLambda);
      const gamma = parameter('randlora_gamma', [n, small], new Float32Array(n * small).fill(startOfGamma));
      const frozenA = narrow(shared.randlora_A, 2, 0, small); // [r, 1, small]
      const a = reshape(mul(mul(frozenA, reshape(lambda, [r, n, 1])), gamma), [r * n, small]);
      const b = basesOf(shared.randlora_B, large, n, r); // [large, r n]
      const [first, second] = small === inFeatures ? [a, b] : [transpose(b), transpose(a)];
      const scaling = config.randloraAlpha / r;
      return {
        parameters: { randlora_lambda: lambda, randlora_gamma: gamma },
        ...addedChange(layer, {
          change: (x) => mul(linear(linear(x, first), second), scaling),
          delta: () => mul(matmul(second, first), scaling),
          dropout: config.randloraDropout,
          where: `${path}: randlora_dropout`,
        }),
      };
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      shared,
      sharedIsSaved: config.saveProjection,
      savedForm: repeatedForm([...layers.keys()]),
    };
  },
});

/** RandLoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const randlora = method.tuner;
/** A config of RandLoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const randloraConfig = method.config;

/** Files of PEFT have the bases once more below every layer. */
const repeatedForm = (paths: readonly string[]) => {
  const below = (path: string, name: string): string => `${BASE_PREFIX}${path}.${name}`;
  const names = ['randlora_A', 'randlora_B'];
  const repeated = new Set(paths.flatMap((path) => names.map((name) => below(path, name))));
  return {
    encode: (state: AdapterState): AdapterState => {
      const copies = names.flatMap((name) => {
        const tensor = state.get(`base_model.${name}`);
        return tensor ? paths.map((path) => [below(path, name), tensor] as const) : [];
      });
      return new Map([...state, ...copies]);
    },
    decode: (state: AdapterState): AdapterState => new Map([...state].filter(([key]) => !repeated.has(key))),
  };
};

/**
 * `[large, r n]`, of B `[rows, bases, r]`. PEFT reads n bases of r columns each as r of n: where λ and γ weigh rank i
 * of basis j, B has column (i n + j) of its bases in a row.
 */
const basesOf = (b: Tensor, large: number, n: number, r: number): Tensor =>
  reshape(narrow(narrow(b, 0, 0, large), 1, 0, n), [large, n * r]);
