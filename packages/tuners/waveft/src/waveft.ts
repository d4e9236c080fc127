/**
 * WaveFT (Bilican et al., 2025, arXiv:2505.12532): the change of W is the inverse wavelet transform of a matrix with n
 * trained entries c_k, at places (u_k, v_k) that a seed draws:
 *
 *     y = x Wᵀ + b + x ΔWᵀ,   ΔW = α · Σ_k c_k  g_k h_kᵀ
 *
 * g_k and h_k are the wavelets of place k along rows and columns: few entries beside one another (2 for `db1`, Haar's),
 * so that ΔW is a sum of n small patches and never transformed as a whole. Without `use_idwt` they are single entries.
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  addedChange,
  ConfigError,
  defineLayerTuner,
  field,
  type LayerConfig,
  layerFields,
  patternValues,
  targetFields,
} from '@graftjs/peft';
import { constant, linear, mul, reshape, scatterAdd, type Tensor } from '@graftjs/tensor';
import { defaultTargets } from './default-targets.ts';
import { type Patches, patchesOf } from './patches.ts';
import { families } from './wavelets.ts';

/** Every key of PEFT's `WaveFTConfig` with its default. */
export const waveftSchema = {
  ...targetFields,
  ...layerFields,
  /** n: trained numbers a target, at most in · out. */
  nFrequency: field.count('n_frequency', 2592),
  /** n of some modules, by name or regular expression. */
  nFrequencyPattern: field.pattern('n_frequency_pattern', 1),
  /** n of each target in proportion to its size; their mean is `n_frequency`. */
  proportionalParameters: field.boolean('proportional_parameters', false),
  /** α. */
  scaling: field.float('scaling', 25),
  /** `db1` (Haar) to `db10`: longer ones are smoother and change more weights at once. */
  waveletFamily: field.oneOf('wavelet_family', 'db1', families),
  /** False: the trained numbers are entries of ΔW themselves. */
  useIdwt: field.boolean('use_idwt', true),
  /** Seed of the places, which are not in the file: drawn as torch draws them, the same for layers of one shape. */
  randomLocSeed: field.wholeNumber('random_loc_seed', 777),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'waveft_only']),
  /** False starts the numbers normal with deviation 0.01, so that a new adapter changes the model. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type WaveftConfig = LayerConfig<typeof waveftSchema, 'WAVEFT'>;

const method = defineLayerTuner({
  peftType: 'WAVEFT',
  schema: waveftSchema,
  kind: 'WaveFT changes linear layers',
  defaultTargets,
  adapt: (config, layers, { random }) => {
    const counts = countsOf(config, layers);
    const patches = patchCache(config);
    const adapted = [...layers].map(([path, layer]) => {
      const { inFeatures, outFeatures } = layer;
      const [n, most] = [counts.of(path), inFeatures * outFeatures];
      if (n > most)
        throw new ConfigError(
          'n_frequency',
          n,
          `${path} has ${most} weights; at most as many can be asked for`,
        );
      const start = config.initWeights ? new Float32Array(n) : normalArray(n, 0.01, random);
      const spectrum = new Parameter([n], start, { name: `${path}.waveft_spectrum`, trainable: false });
      const { places, values } = patches(layer, n);
      const delta = (): Tensor => {
        const spread = mul(reshape(spectrum, [n, 1]), mul(values, config.scaling));
        const entries = scatterAdd(reshape(spread, [-1]), places, most);
        return reshape(entries, [outFeatures, inFeatures]);
      };
      return [
        path,
        {
          parameters: { waveft_spectrum: spectrum },
          ...addedChange(layer, { change: (x) => linear(x, delta()), delta }),
        },
      ] as const;
    });
    return { layers: new Map(adapted), warnings: counts.warnings };
  },
});

/** WaveFT for linear layers: give it to a `PeftModel` among its tuners. */
export const waveft = method.tuner;
/** A config of WaveFT: PEFT's defaults and what the options say. @throws ConfigError */
export const waveftConfig = method.config;

/** How many numbers each target has. */
function countsOf(
  { nFrequency, nFrequencyPattern, proportionalParameters }: WaveftConfig,
  layers: ReadonlyMap<string, Linear>,
): { readonly of: (path: string) => number; readonly warnings: readonly string[] } {
  if (!proportionalParameters) {
    const pattern = patternValues(nFrequencyPattern, 'n_frequency_pattern', [...layers.keys()]);
    return { of: (path) => pattern.of(path) ?? nFrequency, warnings: pattern.warnings };
  }
  const sizeOf = ({ inFeatures, outFeatures }: Linear): number => inFeatures * outFeatures;
  const total = [...layers.values()].reduce((sum, layer) => sum + sizeOf(layer), 0);
  const share = (layer: Linear): number => (sizeOf(layer) / total) * (nFrequency * layers.size);
  return { of: (path) => Math.max(1, roundHalfEven(share(layers.get(path)!))), warnings: [] };
}

/** Python's `round`. */
const roundHalfEven = (x: number): number => {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2) : Math.round(x);
};

/** Layers of one shape have the same places. */
function patchCache(config: WaveftConfig): (layer: Linear, n: number) => { places: Tensor; values: Tensor } {
  const made = new Map<string, { places: Tensor; values: Tensor }>();
  return (layer, n) => {
    const key = `${layer.outFeatures} ${layer.inFeatures} ${n}`;
    const found = made.get(key) ?? asTensors(patchesOf(layer, n, config), n);
    made.set(key, found);
    return found;
  };
}

const asTensors = ({ places, values }: Patches, n: number) => ({
  places: constant(places, [places.length]),
  values: constant(values, [n, values.length / n]),
});
