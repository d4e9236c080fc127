/**
 * FourierFT (Gao et al., 2024, arXiv:2405.03003): the change of W is the real part of the inverse two-dimensional
 * Fourier transform of a spectrum with n trained entries c_k, at places (u_k, v_k) that a seed draws:
 *
 *     y = x Wᵀ + b + x ΔWᵀ,   ΔW_pq = α / (out · in) · Σ_k c_k cos 2π (p u_k / out + q v_k / in)
 *
 * A cosine of a sum is two products, so ΔW = P diag(s) Q with P `[out, 2n]` and Q `[2n, in]` of cosines and sines: a
 * change of rank 2n. For few frequencies x goes through Q and P, 2n (in + out) products a token; where making ΔW,
 * 2n · in · out once, and one product with it costs less, that is done. A full transform is not: with n of a thousand
 * it saves nothing.
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  addedChange,
  angles,
  attentionTargets,
  ConfigError,
  defineLayerTuner,
  field,
  type LayerConfig,
  layerFields,
  patternValues,
  TorchRandom,
  targetFields,
} from '@graftjs/peft';
import { concat, constant, cos, iota, linear, matmul, mul, neg, sin, type Tensor } from '@graftjs/tensor';

/** Every key of PEFT's `FourierFTConfig` with its default. */
export const fourierftSchema = {
  ...targetFields,
  ...layerFields,
  /** n: trained numbers a target, at most in · out. */
  nFrequency: field.count('n_frequency', 1000),
  /** n of some modules, by name or regular expression. */
  nFrequencyPattern: field.pattern('n_frequency_pattern', 1),
  /** α. The paper takes 100 to 150 for RoBERTa and 300 for Llama. */
  scaling: field.float('scaling', 150),
  /** Seed of the places, which are not in the file: drawn as torch draws them, the same for layers of one shape. */
  randomLocSeed: field.wholeNumber('random_loc_seed', 777),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'fourier_only']),
  /** True: the spectrum starts at zero. False: standard normal, so that a new adapter changes the model. */
  initWeights: field.boolean('init_weights', false),
} as const;

export type FourierftConfig = LayerConfig<typeof fourierftSchema, 'FOURIERFT'>;

const method = defineLayerTuner({
  peftType: 'FOURIERFT',
  schema: fourierftSchema,
  kind: 'FourierFT changes linear layers',
  defaultTargets: { ...attentionTargets, gpt2: ['mlp.c_proj'], gpt_bigcode: ['mlp.c_proj'] },
  adapt: (config, layers, { random }) => {
    const counts = patternValues(config.nFrequencyPattern, 'n_frequency_pattern', [...layers.keys()]);
    const basisOf = basisCache(config.randomLocSeed);
    const adapted = [...layers].map(([path, layer]) => {
      const { inFeatures, outFeatures } = layer;
      const [n, most] = [counts.of(path) ?? config.nFrequency, inFeatures * outFeatures];
      if (n > most)
        throw new ConfigError(
          'n_frequency',
          n,
          `${path} has ${most} weights; at most as many can be asked for`,
        );
      const start = config.initWeights ? new Float32Array(n) : normalArray(n, 1, random);
      const spectrum = new Parameter([n], start, { name: `${path}.fourierft_spectrum`, trainable: false });
      const { p, q } = basisOf(layer, n);
      const half = mul(spectrum, config.scaling / most);
      const scale = concat([half, neg(half)], 0); // [2 n]
      const delta = (): Tensor => matmul(mul(p, scale), q);
      const change = (x: Tensor): Tensor => {
        const tokens = x.size / inFeatures;
        const throughBoth = tokens * 2 * n * (inFeatures + outFeatures);
        const throughDelta = most * (2 * n + tokens);
        return throughBoth < throughDelta ? linear(mul(linear(x, q), scale), p) : linear(x, delta());
      };
      return [
        path,
        { parameters: { fourierft_spectrum: spectrum }, ...addedChange(layer, { change, delta }) },
      ] as const;
    });
    return { layers: new Map(adapted), warnings: counts.warnings };
  },
});

/** FourierFT for linear layers: give it to a `PeftModel` among its tuners. */
export const fourierft = method.tuner;
/** A config of FourierFT: PEFT's defaults and what the options say. @throws ConfigError */
export const fourierftConfig = method.config;

/** P `[out, 2n]` and Q `[2n, in]`: cosines, then sines. */
interface Basis {
  readonly p: Tensor;
  readonly q: Tensor;
}

/** Layers of one shape have the same places, and so the same basis. */
function basisCache(seed: number): (layer: Linear, n: number) => Basis {
  const made = new Map<string, Basis>();
  return ({ inFeatures, outFeatures }, n) => {
    const key = `${outFeatures} ${inFeatures} ${n}`;
    const found = made.get(key) ?? basis(inFeatures, outFeatures, n, seed);
    made.set(key, found);
    return found;
  };
}

function basis(inFeatures: number, outFeatures: number, n: number, seed: number): Basis {
  const places = new TorchRandom(seed).randperm(inFeatures * outFeatures, n);
  const rows = constant(
    Int32Array.from(places, (place) => Math.floor(place / inFeatures)),
    [n],
  );
  const columns = constant(
    Int32Array.from(places, (place) => place % inFeatures),
    [n, 1],
  );
  const a = angles(iota([outFeatures, n], 0), rows, outFeatures);
  const b = angles(iota([n, inFeatures], 1), columns, inFeatures);
  return { p: concat([cos(a), sin(a)], 1), q: concat([cos(b), sin(b)], 0) };
}
