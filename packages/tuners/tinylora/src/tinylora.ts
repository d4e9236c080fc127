/**
 * TinyLoRA (2026, arXiv:2602.04118): LoRA in the directions that a weight W = U S Vᵀ is largest in, steered by a vector v
 * that may be as short as one number, and that layers may share.
 *
 *     y = x Wᵀ + b + B (R (A dropout(x))),   A = √S_r V_rᵀ [r, in],  B = U_r √S_r [out, r]
 *     R = Σ_i v_i P_i,   P [u, r, r] normal with deviation 1 / √r, frozen
 *
 * v `[u]` starts at zero. Layers in the model's order fall into groups of equal size, each with a v of its own.
 */
import { columnsOf, floats, largestSingularValues, matrixOf, range } from '@graftjs/decompositions';
import { type Linear, Parameter, uniformArray } from '@graftjs/nn';
import {
  type AttachContext,
  addedChange,
  attentionTargets,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  layerWeight,
  TorchRandom,
} from '@graftjs/peft';
import { linear, matmul, reshape, type Tensor } from '@graftjs/tensor';

/** Every key of PEFT's `TinyLoraConfig` with its default. */
export const tinyloraSchema = {
  ...chosenFields,
  ...layerFields,
  /** Directions of each weight; of a layer that has fewer, all of them. */
  r: field.count('r', 2),
  /** Length of v. */
  u: field.count('u', 64),
  /** 0: each layer has a v of its own; 1: all share one; between, groups of layers do. */
  weightTying: field.chance('weight_tying', 0),
  /** Seed of P of the first layer; of the next one it is one more, and so on. */
  projectionSeed: field.wholeNumber('projection_seed', 42),
  /** P is saved. False: it is drawn again from the seed, bit for bit as torch draws it. */
  saveProjection: field.boolean('save_projection', true),
  /** With `init_weights` of `uniform`, v starts within ± this. */
  initVBound: field.float('init_v_bound', 0.02),
  tinyloraDropout: field.chance('tinylora_dropout', 0),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'tinylora_only']),
  /** v starts at zero, or `uniform`. False is zero here; PEFT takes whatever is in memory. */
  initWeights: field.oneOf('init_weights', true, [true, false, 'uniform']),
} as const;

export type TinyloraConfig = LayerConfig<typeof tinyloraSchema, 'TINYLORA'>;

const method = defineLayerTuner({
  peftType: 'TINYLORA',
  schema: tinyloraSchema,
  kind: 'TinyLoRA changes linear layers',
  defaultTargets: attentionTargets,
  adapt: async (config, layers, context) => {
    const { count, groupOf } = layerGroups(layers.size, config.weightTying);
    const vectors = Array.from({ length: count }, (_, group) => {
      const start =
        config.initWeights === 'uniform'
          ? uniformArray(config.u, config.initVBound, context.random)
          : undefined;
      return new Parameter([config.u], start, { name: `tinylora_v.${group}`, trainable: false });
    });
    const adapted = new Map<string, LayerAdapter>();
    for (const [path, layer] of layers) {
      const index = adapted.size;
      const factors = context.loading ? undefined : await largestDirections(layer, config.r, context);
      adapted.set(path, adaptLayer(path, layer, { index, v: vectors[groupOf(index)]!, factors, config }));
    }
    return {
      layers: adapted,
      shared: Object.fromEntries(vectors.map((v, group) => [`tinylora_v.${group}`, v])),
      sharedIsTrained: true,
    };
  },
});

/** TinyLoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const tinylora = method.tuner;
/** A config of TinyLoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const tinyloraConfig = method.config;

/** How many vectors there are for a number of layers, and which one the i-th layer has. */
export function layerGroups(
  layers: number,
  weightTying: number,
): { readonly count: number; readonly groupOf: (index: number) => number } {
  const wanted = Math.max(1, roundHalfToEven(layers * (1 - weightTying)));
  const size = Math.max(1, Math.floor(layers / wanted));
  const groupOf = (index: number): number => Math.min(Math.floor(index / size), wanted - 1);
  return { count: groupOf(layers - 1) + 1, groupOf };
}

/** Python's `round`. */
function roundHalfToEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

const rankOf = ({ inFeatures, outFeatures }: Linear, r: number): number =>
  Math.min(r, inFeatures, outFeatures);

interface Factors {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
}

/** More directions than are asked for, and passes: what is left of the others in these falls with both. */
const [spare, iterations] = [8, 16];

async function largestDirections(
  layer: Linear,
  r: number,
  { runtime, random }: AttachContext,
): Promise<Factors> {
  const { inFeatures, outFeatures } = layer;
  const weight = matrixOf(outFeatures, inFeatures, await layerWeight(runtime, layer));
  const rank = rankOf(layer, r);
  const { u, s, v } = largestSingularValues(weight, rank + spare, iterations, random);
  const first = range(0, rank);
  const roots = first.map((i) => Math.sqrt(s[i]!));
  return {
    a: floats(columnsOf(v, first).mulRowVector(roots).transpose()),
    b: floats(columnsOf(u, first).mulRowVector(roots)),
  };
}

interface Parts {
  /** Of the layer among the adapter's. */
  readonly index: number;
  readonly v: Parameter;
  readonly factors: Factors | undefined;
  readonly config: TinyloraConfig;
}

function adaptLayer(path: string, layer: Linear, { index, v, factors, config }: Parts): LayerAdapter {
  const { u } = config;
  const r = rankOf(layer, config.r);
  const frozen = (name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
  const a = frozen('tinylora_A', [r, layer.inFeatures], factors?.a);
  const b = frozen('tinylora_B', [layer.outFeatures, r], factors?.b);
  const drawn = new TorchRandom(config.projectionSeed + index).randn(u * r * r, 1 / Math.sqrt(r));
  const p = frozen('tinylora_P', [u, r, r], drawn);
  const steered = (): Tensor => reshape(matmul(reshape(v, [1, u]), reshape(p, [u, r * r])), [r, r]); // R
  return {
    parameters: {},
    buffers: { tinylora_A: a, tinylora_B: b, ...(config.saveProjection ? { tinylora_P: p } : {}) },
    ...addedChange(layer, {
      change: (x) => linear(linear(linear(x, a), steered()), b),
      delta: () => matmul(matmul(b, steered()), a),
      dropout: config.tinyloraDropout,
      where: `${path}: tinylora_dropout`,
    }),
  };
}
