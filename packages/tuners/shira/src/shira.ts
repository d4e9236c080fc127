/**
 * SHiRA, sparse high-rank adapters (Bhardwaj et al., 2024, arXiv:2406.13175):
 *
 *     y = x (W + ΔW)ᵀ + b,   ΔW zero but for n = r (in + out) entries, which are trained, as many as LoRA of rank r has
 *
 * Which entries: a mask that torch's generator draws by `random_seed`, the same for layers of one shape. Places and
 * values are saved, `shira_indices` [2, n] (rows, then columns, row by row) and `shira_weight` [n].
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  addedChange,
  attentionTargets,
  ConfigError,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  TorchRandom,
} from '@graftjs/peft';
import { add, linear, mul, narrow, reshape, scatterAdd, type Tensor } from '@graftjs/tensor';

/** The seed of a generator of torch that was given none. */
const torchSeed = 67280421310721;

/** Every key of PEFT's `ShiraConfig` with its default. */
export const shiraSchema = {
  ...chosenFields,
  /** r (in + out) entries of a target are trained. Their matrix may have any rank. */
  r: field.count('r', 32),
  maskType: field.oneOf('mask_type', 'random', ['random']),
  /** Seed of the mask; null: that of torch's generators. */
  randomSeed: field.optionalWholeNumber('random_seed'),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** False starts the values from a normal distribution, which is for tests. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type ShiraConfig = LayerConfig<typeof shiraSchema, 'SHIRA'>;

const method = defineLayerTuner({
  peftType: 'SHIRA',
  schema: shiraSchema,
  kind: 'SHiRA changes linear layers',
  defaultTargets: { ...attentionTargets, phi: ['q_proj', 'v_proj'] },
  adapt: (config, layers, { random }) => {
    const make = (path: string, layer: Linear): LayerAdapter => {
      const { inFeatures, outFeatures } = layer;
      const n = config.r * (inFeatures + outFeatures);
      if (n > inFeatures * outFeatures)
        throw new ConfigError(
          'r',
          config.r,
          `would train ${n} entries of ${path}, which has ${inFeatures * outFeatures}`,
        );
      const places = new Parameter([2, n], drawPlaces(layer, n, config.randomSeed ?? torchSeed), {
        dtype: 'i32',
        name: `${path}.shira_indices`,
        trainable: false,
      });
      const start = config.initWeights ? new Float32Array(n) : normalArray(n, 1, random);
      const values = new Parameter([n], start, { name: `${path}.shira_weight`, trainable: false });
      const row = (i: number): Tensor => reshape(narrow(places, 0, i, 1), [n]);
      const flat = add(mul(row(0), inFeatures), row(1));
      const delta = (): Tensor =>
        reshape(scatterAdd(values, flat, outFeatures * inFeatures), [outFeatures, inFeatures]);
      return {
        parameters: { shira_weight: values },
        buffers: { shira_indices: places },
        ...addedChange(layer, { change: (x) => linear(x, delta()), delta }),
      };
    };
    return { layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])) };
  },
});

/** SHiRA for linear layers: give it to a `PeftModel` among its tuners. */
export const shira = method.tuner;
/** A config of SHiRA: PEFT's defaults and what the options say. @throws ConfigError */
export const shiraConfig = method.config;

/** Rows, then columns, of n entries in the order of the matrix. */
function drawPlaces({ inFeatures, outFeatures }: Linear, n: number, seed: number): Int32Array<ArrayBuffer> {
  const drawn = new TorchRandom(seed).randperm(inFeatures * outFeatures, n).sort((a, b) => a - b);
  const places = new Int32Array(2 * n);
  for (const [i, place] of drawn.entries()) {
    places[i] = Math.floor(place / inFeatures);
    places[n + i] = place % inFeatures;
  }
  return places;
}
