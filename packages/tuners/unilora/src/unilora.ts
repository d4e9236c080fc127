/**
 * Uni-LoRA (Li et al., 2025, arXiv:2506.00799): LoRA whose matrices, of all layers together, are one short vector θ put
 * through a fixed sparse matrix with orthonormal columns.
 *
 *     y = x Wᵀ + b + B (A dropout(x)),   A_ij = θ[k] / √n_k,   k the place of A_ij, n_k how many elements have it
 *
 * A `[r, in]`, and B `[out, r]` alike. Each k of θ `[theta_d_length]` is the place of equally many elements, or of one
 * more; which is drawn by a seed. θ starts at random, so an adapter changes the model a little from the start.
 */
import { type Linear, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import {
  addedChange,
  attentionTargets,
  type ConfigField,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
} from '@graftjs/peft';
import { linear, matmul, mul, type Tensor, take } from '@graftjs/tensor';
import { NumpyRandom } from './numpy-random.ts';

/** Every key of PEFT's `UniLoraConfig` with its default. */
export const uniloraSchema = {
  ...chosenFields,
  ...layerFields,
  /** Rank of each layer's change. */
  r: field.count('r', 4),
  /** Seed of the places. */
  projSeed: field.countOrZero('proj_seed', 42),
  /** Length of θ: all that is trained. */
  thetaDLength: field.count('theta_d_length', 256),
  uniloraDropout: field.chance('unilora_dropout', 0),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'unilora_only']),
  /** θ starts within ± this. */
  initThetaDBound: {
    key: 'init_theta_d_bound',
    initial: 0.02,
    expects: 'a number above 0',
    accepts: (value) => typeof value === 'number' && value > 0 && Number.isFinite(value),
    float: true,
  } as ConfigField<number>,
  /** False starts θ from a normal distribution. */
  initWeights: field.boolean('init_weights', true),
  /** Places and the factors 1 / √n are saved. False: they are drawn again, bit for bit as numpy draws them. */
  saveIndices: field.boolean('save_indices', false),
} as const;

export type UniloraConfig = LayerConfig<typeof uniloraSchema, 'UNILORA'>;

const method = defineLayerTuner({
  peftType: 'UNILORA',
  schema: uniloraSchema,
  kind: 'Uni-LoRA changes linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random }) => {
    const { r, thetaDLength: length } = config;
    const start = config.initWeights
      ? uniformArray(length, config.initThetaDBound, random)
      : normalArray(length, 1, random);
    const theta = new Parameter([length], start, { name: 'unilora_theta_d', trainable: false });
    const elements = [...layers.values()].reduce((sum, l) => sum + r * (l.inFeatures + l.outFeatures), 0);
    const places = drawPlaces(elements, length, config.projSeed);
    const factors = inverseRoots(places, length);
    let next = 0;
    const make = (path: string, layer: Linear): LayerAdapter => {
      const part = (side: 'A' | 'B', shape: readonly [number, number]) => {
        const own = places.slice(next, next + shape[0] * shape[1]);
        next += own.length;
        const name = (kind: string): string => `unilora_${kind}_${side}`;
        const indices = new Parameter(shape, own, {
          dtype: 'i32',
          name: `${path}.${name('indices')}`,
          trainable: false,
        });
        const scales = new Parameter(
          shape,
          Float32Array.from(own, (k) => factors[k]!),
          { name: `${path}.${name('scales')}`, trainable: false },
        );
        return {
          matrix: (): Tensor => mul(take(theta, indices), scales),
          buffers: { [name('indices')]: indices, [name('scales')]: scales },
        };
      };
      const a = part('A', [r, layer.inFeatures]);
      const b = part('B', [layer.outFeatures, r]);
      return {
        parameters: {},
        buffers: config.saveIndices ? { ...a.buffers, ...b.buffers } : {},
        ...addedChange(layer, {
          change: (x) => linear(linear(x, a.matrix()), b.matrix()),
          delta: () => matmul(b.matrix(), a.matrix()),
          dropout: config.uniloraDropout,
          where: `${path}: unilora_dropout`,
        }),
      };
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      shared: { unilora_theta_d: theta },
      sharedIsTrained: true,
    };
  },
});

/** Uni-LoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const unilora = method.tuner;
/** A config of Uni-LoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const uniloraConfig = method.config;

/** The place in θ of each element: every place as often as the others, some once more, shuffled. */
export function drawPlaces(elements: number, length: number, seed: number): Int32Array<ArrayBuffer> {
  const random = new NumpyRandom(seed);
  const each = Math.floor(elements / length);
  const places = Int32Array.from({ length: elements }, (_, i) => Math.floor(i / Math.max(each, 1)));
  const rest = elements % length;
  if (rest > 0) places.set(random.choice(length, rest), elements - rest);
  random.shuffle(places);
  return places;
}

/** 1 / √n of each place. */
function inverseRoots(places: Int32Array, length: number): Float32Array {
  const counts = new Float32Array(length);
  for (const place of places) counts[place]!++;
  return counts.map((n) => 1 / Math.sqrt(n));
}
