/**
 * FRoD (AAAI 2026, doi:10.1609/aaai.v40i31.39813): weights that play the same part in all blocks are written in one basis
 * V, W = U diag(λ₀) Vᵀ, and each is changed by a diagonal and a few entries beside it.
 *
 *     W becomes U (diag(λ) + S) Vᵀ,   U [out, in], V [in, in],  S zero but for n = ⌊sparse_rate · in²⌋ entries off the diagonal
 *
 * λ `[in]`, from λ₀, and the entries of S, from 0, are trained; computed is what they add, y + U (diag(λ - λ₀) + S) Vᵀ x. The
 * entries' places are drawn once for all weights of a kind. U and λ₀ are not saved: they follow from V and W.
 */
import { floats, matrixOf } from '@graftjs/decompositions';
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AdapterTensor,
  type AttachContext,
  addedChange,
  attentionTargets,
  BASE_PREFIX,
  type ConfigField,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  layerWeight,
  TorchRandom,
} from '@graftjs/peft';
import {
  add,
  linear,
  matmul,
  mul,
  narrow,
  reshape,
  scatterAdd,
  sub,
  type Tensor,
  transpose,
} from '@graftjs/tensor';
import type { Matrix } from 'ml-matrix';
import { categoryOf, pathsByCategory } from './categories.ts';
import { Basis, type InBasis, sharedBasis } from './shared-basis.ts';

/** Every key of PEFT's `FrodConfig` with its default. */
export const frodSchema = {
  ...chosenFields,
  ...layerFields,
  /** Seed of the places of S. */
  projectionPrngKey: field.wholeNumber('projection_prng_key', 0),
  saveProjection: field.unsupported(
    'save_projection',
    true,
    'the shared basis cannot be found again: it consists of eigenvectors, whose signs nothing decides',
  ) as ConfigField<boolean>,
  frodDropout: field.chance('frod_dropout', 0),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'frod_only']),
  /** False starts what is trained with noise, which is for tests. */
  initWeights: field.boolean('init_weights', true),
  /** Share of the entries of S that are trained; at least one. */
  sparseRate: field.chance('sparse_rate', 0.01),
  /** α, which keeps inverses stable where the basis is made. */
  regularizationAlpha: field.float('regularization_alpha', 1e-3),
  /** Of PEFT's progress bar. */
  progressbar: field.boolean('progressbar', true),
  /** Where PEFT keeps the base's weights. Here they stay on the device. */
  runtimeOffloadBaseWeight: field.boolean('runtime_offload_base_weight', false),
} as const;

export type FrodConfig = LayerConfig<typeof frodSchema, 'FROD'>;

/** What the weights of a category share. */
interface Shared {
  readonly v: Parameter;
  readonly places: Parameter;
  readonly size: Parameter;
}

/** What follows from V and a layer's weight. */
interface Derived {
  readonly u: Parameter;
  readonly lambda: Parameter;
}

const method = defineLayerTuner({
  peftType: 'FROD',
  schema: frodSchema,
  kind: 'FRoD changes linear layers',
  defaultTargets: { ...attentionTargets, phi: ['q_proj', 'v_proj'] },
  adapt: async (config, layers, context) => {
    const weights = new Map<string, Matrix>();
    for (const [path, layer] of layers)
      weights.set(
        path,
        matrixOf(layer.outFeatures, layer.inFeatures, await layerWeight(context.runtime, layer)),
      );
    const random = new TorchRandom(config.projectionPrngKey);
    const shared = new Map<string, Shared>();
    const bases = new Map<string, Basis>();
    for (const [category, paths] of pathsByCategory(layers)) {
      const size = layers.get(paths[0]!)!.inFeatures;
      const v = context.loading
        ? undefined
        : floats(
            sharedBasis(
              paths.map((path) => weights.get(path)!),
              config.regularizationAlpha,
            ),
          );
      // Of the numbers that a file holds.
      if (v) bases.set(category, new Basis(matrixOf(size, size, v)));
      shared.set(category, makeShared(category, size, { v, random, rate: config.sparseRate }));
    }
    const derived = new Map<string, Derived>();
    const adapted = new Map<string, LayerAdapter>();
    for (const [path, layer] of layers) {
      const category = categoryOf(path);
      const start = bases.get(category)?.coordinates(weights.get(path)!);
      const parts = makeDerived(path, layer, start);
      derived.set(path, parts);
      adapted.set(
        path,
        adaptLayer(path, layer, { shared: shared.get(category)!, parts, start, config, context }),
      );
    }
    return {
      layers: adapted,
      warnings: context.loading ? [] : [notInPeft],
      shared: Object.fromEntries(
        [...shared].flatMap(([category, { v, places, size }]) => [
          [`frod_V.${category}`, v],
          [`frod_s_indices.${category}`, places],
          [`frod_s_size.${category}`, size],
        ]),
      ),
      savedForm: {
        encode: (state) => new Map([...state].filter(([key]) => !isDerived(key))),
        decode: (state) => withDerived(state, weights),
      },
    };
  },
});

const notInPeft =
  'Hugging Face PEFT will not compute the same with this adapter: it makes U from a basis of its own, not from the saved one, and their signs differ';

/** FRoD for linear layers: give it to a `PeftModel` among its tuners. */
export const frod = method.tuner;
/** A config of FRoD: PEFT's defaults and what the options say. @throws ConfigError */
export const frodConfig = method.config;

/** How many entries of S are trained. */
export const entryCount = (size: number, rate: number): number => {
  const others = size * size - size;
  const wanted = Math.min(Math.floor(size * size * rate), others);
  return rate > 0 && others > 0 ? Math.max(1, wanted) : wanted;
};

interface SharedStart {
  /** Left out: the basis is loaded. */
  readonly v: Float32Array<ArrayBuffer> | undefined;
  readonly random: TorchRandom;
  readonly rate: number;
}

function makeShared(category: string, size: number, { v, random, rate }: SharedStart): Shared {
  const count = entryCount(size, rate);
  const frozen = (name: string, shape: readonly number[], data: Int32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, data, { dtype: 'i32', name: `${name}.${category}`, trainable: false });
  return {
    v: new Parameter([size, size], v, { name: `frod_V.${category}`, trainable: false }),
    places: frozen(
      'frod_s_indices',
      [2, count],
      v ? drawPlaces(size, count, random) : new Int32Array(2 * count),
    ),
    size: frozen('frod_s_size', [2], Int32Array.of(size, size)),
  };
}

/** Rows, then columns, of entries off the diagonal. All are shuffled, whatever is taken: the next draw follows. */
function drawPlaces(size: number, count: number, random: TorchRandom): Int32Array<ArrayBuffer> {
  const places = new Int32Array(2 * count);
  const drawn = random.randperm(size * size - size).slice(0, count);
  for (const [i, place] of drawn.entries()) {
    const row = Math.floor(place / (size - 1));
    const column = place % (size - 1);
    places[i] = row;
    places[count + i] = column < row ? column : column + 1;
  }
  return places;
}

/** Names of what is not in a file. */
const [uName, lambdaName] = ['frod_U', 'frod_lambda_0'];
const isDerived = (key: string): boolean => key.endsWith(`.${uName}`) || key.endsWith(`.${lambdaName}`);

const makeDerived = (path: string, { inFeatures, outFeatures }: Linear, start?: InBasis): Derived => ({
  u: new Parameter([outFeatures, inFeatures], start?.u, { name: `${path}.${uName}`, trainable: false }),
  lambda: new Parameter([inFeatures], start?.lambda.slice(), {
    name: `${path}.${lambdaName}`,
    trainable: false,
  }),
});

/** A file's tensors, and what follows from its bases. */
function withDerived(state: AdapterState, weights: ReadonlyMap<string, Matrix>): AdapterState {
  const all = new Map<string, AdapterTensor>(state);
  const bases = new Map<string, Basis>();
  for (const [path, weight] of weights) {
    const category = categoryOf(path);
    const v = state.get(`base_model.frod_V.${category}`);
    if (!v || v.shape[0] !== weight.columns || v.shape[1] !== weight.columns) continue;
    const basis = bases.get(category) ?? new Basis(matrixOf(weight.columns, weight.columns, v.data));
    bases.set(category, basis);
    const { u, lambda } = basis.coordinates(weight);
    all.set(`${BASE_PREFIX}${path}.${uName}`, { shape: [weight.rows, weight.columns], data: u });
    all.set(`${BASE_PREFIX}${path}.${lambdaName}`, { shape: [weight.columns], data: lambda });
  }
  return all;
}

interface Parts {
  readonly shared: Shared;
  readonly parts: Derived;
  readonly start: InBasis | undefined;
  readonly config: FrodConfig;
  readonly context: AttachContext;
}

function adaptLayer(
  path: string,
  layer: Linear,
  { shared: { v, places }, parts: { u, lambda: before }, start, config, context }: Parts,
): LayerAdapter {
  const size = layer.inFeatures;
  const count = places.shape[1]!;
  const noise = (n: number): Float32Array<ArrayBuffer> =>
    config.initWeights ? new Float32Array(n) : normalArray(n, 0.1, context.random);
  const shaken = noise(size).map((x, i) => x + (start?.lambda[i] ?? 0));
  const lambda = new Parameter([size], shaken, { name: `${path}.frod_lambda_l`, trainable: false });
  const values = new Parameter([count], noise(count), {
    name: `${path}.frod_lambda_s_values`,
    trainable: false,
  });
  const row = (i: number): Tensor => reshape(narrow(places, 0, i, 1), [count]);
  const entries = (): Tensor =>
    reshape(scatterAdd(values, add(mul(row(0), size), row(1)), size * size), [size, size]); // S
  return {
    parameters: { frod_lambda_l: lambda, frod_lambda_s_values: values },
    buffers: { [uName]: u, [lambdaName]: before },
    ...addedChange(layer, {
      change: (x) => {
        const z = linear(x, transpose(v)); // [..., in]
        return linear(add(linear(z, entries()), mul(z, sub(lambda, before))), u);
      },
      delta: () => {
        const inner = add(matmul(u, entries()), mul(u, sub(lambda, before)));
        return matmul(inner, transpose(v));
      },
      dropout: config.frodDropout,
      where: `${path}: frod_dropout`,
    }),
  };
}
