/**
 * AdaMSS, adaptive multi-subspaces (NeurIPS 2025): outputs whose weights lie together are changed together, each cluster
 * of them by a low-rank matrix of its own, in the r largest directions of the weight.
 *
 *     y_k = (W x + b)_k + B_k (A_k (N [x; 1])),   of the outputs k of each cluster
 *
 * N `[r, in + 1]` holds the largest right singular vectors of [W b], and is frozen (without the last column where the layer
 * has no bias); A_k `[r_k, r]` and B_k `[outputs of k, r_k]` are trained, A_k from the cluster's own largest directions, B_k
 * from zero. Clusters are those of the rows of the left singular vectors.
 */
import {
  columnsOf,
  floats,
  largestSingularValues,
  matrixOf,
  range,
  singularValues,
} from '@graftjs/decompositions';
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  type AttachContext,
  addedChange,
  attentionTargets,
  ConfigError,
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
import { add, concat, linear, matmul, narrow, pad, reshape, sub, type Tensor, take } from '@graftjs/tensor';
import type { Matrix } from 'ml-matrix';
import { clusterRows } from './clusters.ts';

/** Every key of PEFT's `AdamssConfig` with its default. */
export const adamssSchema = {
  ...chosenFields,
  ...layerFields,
  /** Directions of each weight that changes are made in; of a layer that has fewer, all of them. */
  r: field.count('r', 100),
  /** Clusters of each layer's outputs. */
  numSubspaces: field.count('num_subspaces', 5),
  /** Rank of a cluster's change. */
  subspaceRank: field.count('subspace_rank', 1),
  /** Null starts B_k at random, which is for tests. */
  initWeights: {
    key: 'init_weights',
    initial: 'orthogonal',
    expects: '"orthogonal" or null',
    accepts: (value) => value === 'orthogonal' || value === null,
  } as ConfigField<'orthogonal' | null>,
  useAsa: field.unsupported(
    'use_asa',
    false,
    'clusters are not taken away in training; leave it out, and all of them are trained',
  ) as ConfigField<boolean>,
  asaTargetSubspaces: field.wholeNumber('asa_target_subspaces', 50),
  initWarmup: field.wholeNumber('init_warmup', 50),
  finalWarmup: field.wholeNumber('final_warmup', 1000),
  maskInterval: field.wholeNumber('mask_interval', 100),
  asaImportanceBeta: field.float('asa_importance_beta', 0.85),
  asaUncertaintyBeta: field.float('asa_uncertainty_beta', 0.85),
  asaScheduleExponent: field.float('asa_schedule_exponent', 3),
  /** A cluster whose directions fall off has a lower rank: those are counted whose strength is above the threshold. */
  useDynamicRank: field.boolean('use_dynamic_rank', false),
  /** Over the largest squared singular value. */
  svdThreshold: field.float('svd_threshold', 0.1),
  /** Seed by which the largest directions of a weight are looked for. */
  randomSeed: field.countOrZero('random_seed', 0),
} as const;

export type AdamssConfig = LayerConfig<typeof adamssSchema, 'ADAMSS'>;

const method = defineLayerTuner({
  peftType: 'ADAMSS',
  schema: adamssSchema,
  kind: 'AdaMSS changes linear layers',
  defaultTargets: { ...attentionTargets, vit: ['query', 'value'] },
  adapt: async (config, layers, context) => {
    const adapted = new Map<string, LayerAdapter>();
    for (const [path, layer] of layers) {
      const weight = await weightAndBias(layer, context);
      adapted.set(path, adaptLayer(path, layer, divide(weight, config), { config, context }));
    }
    return { layers: adapted };
  },
});

/** AdaMSS for linear layers: give it to a `PeftModel` among its tuners. */
export const adamss = method.tuner;
/** A config of AdaMSS: PEFT's defaults and what the options say. @throws ConfigError */
export const adamssConfig = method.config;

/** [W b] `[out, in + 1]`, or W where there is no b. */
async function weightAndBias(layer: Linear, { runtime }: AttachContext): Promise<Matrix> {
  const { inFeatures, outFeatures, bias } = layer;
  const weight = matrixOf(outFeatures, inFeatures, await layerWeight(runtime, layer));
  if (bias) weight.addColumn(inFeatures, Array.from(await runtime.read(bias)));
  return weight;
}

interface Divided {
  /** N `[r, columns]`. */
  readonly directions: Matrix;
  readonly clusters: readonly Cluster[];
}

interface Cluster {
  /** Which outputs. */
  readonly outputs: readonly number[];
  /** A_k at the start, `[r_k, r]`. */
  readonly start: Matrix;
}

/**
 * As PEFT divides it: two passes of `torch.svd_lowrank` from a seed, and k-means.
 * @throws ConfigError where a cluster's rank is more than the directions
 */
export function divide(weight: Matrix, config: AdamssConfig): Divided {
  const r = Math.min(config.r, weight.rows, weight.columns);
  const drawn = new TorchRandom(config.randomSeed).randn(Math.min(weight.rows, weight.columns) * r);
  let next = 0;
  const { u, v } = largestSingularValues(weight, r, 2, { normal: () => drawn[next++]! });
  return {
    directions: v.transpose(),
    clusters: clusterRows(u, config.numSubspaces).map((outputs) => {
      const own = singularValues(u.subMatrixRow([...outputs]));
      const strong = own.s.filter((s) => s ** 2 > config.svdThreshold * own.s[0]! ** 2).length;
      const most = config.useDynamicRank ? Math.max(strong, 1) : outputs.length;
      const rank = Math.min(config.subspaceRank, most);
      if (rank > r)
        throw new ConfigError(
          'subspace_rank',
          config.subspaceRank,
          `is more than the ${r} directions there are`,
        );
      return { outputs, start: columnsOf(own.v, range(0, rank)).transpose() };
    }),
  };
}

interface Parts {
  readonly config: AdamssConfig;
  readonly context: AttachContext;
}

function adaptLayer(
  path: string,
  layer: Linear,
  { directions, clusters }: Divided,
  { config, context: { random } }: Parts,
): LayerAdapter {
  const { inFeatures, outFeatures } = layer;
  const r = directions.rows;
  const parameter = (name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
  const n = parameter('adamss_newB', [r, directions.columns], floats(directions));
  const a = clusters.map(({ start }, k) => parameter(`adamss_A.${k}`, [start.rows, r], floats(start)));
  const b = clusters.map(({ outputs, start }, k) => {
    const size = outputs.length * start.rows;
    const values = config.initWeights === null ? normalArray(size, 0.01, random) : undefined;
    return parameter(`adamss_B.${k}`, [outputs.length, start.rows], values);
  });
  const order = new Int32Array(outFeatures);
  for (const [place, output] of clusters.flatMap(({ outputs }) => outputs).entries()) order[output] = place;
  const places = new Parameter([outFeatures], order, {
    dtype: 'i32',
    name: `${path}.adamss_places`,
    trainable: false,
  });
  const ranks = clusters.map(({ start }) => start.rows);
  const all = ranks.reduce((sum, rank) => sum + rank, 0);
  /** All A_k, one below the other: `[all, r]`. */
  const inward = (): Tensor => concat(a, 0);
  /** All B_k on a diagonal, their rows where the outputs are: `[out, all]`. */
  const outward = (): Tensor => {
    let before = 0;
    const rows = b.map((matrix, k) => {
      const padded = pad(matrix, [0, before], [0, all - before - ranks[k]!]);
      before += ranks[k]!;
      return padded;
    });
    return take(concat(rows, 0), places);
  };
  const added = addedChange(layer, {
    change: (x) => {
      const inner = linear(x, narrow(n, 1, 0, inFeatures));
      const whole = layer.bias ? add(inner, reshape(narrow(n, 1, inFeatures, 1), [r])) : inner;
      return linear(linear(whole, inward()), outward());
    },
    delta: () => narrow(changeOfBoth(), 1, 0, inFeatures),
  });
  const changeOfBoth = (): Tensor => matmul(matmul(outward(), inward()), n); // [out, in + 1]
  const ofBias = (): Tensor => reshape(narrow(changeOfBoth(), 1, inFeatures, 1), [outFeatures]);
  const named = (name: string, parameters: readonly Parameter[]) =>
    Object.fromEntries(parameters.map((p, k) => [`${name}.${k}`, p]));
  return {
    parameters: { ...named('adamss_A', a), ...named('adamss_B', b) },
    buffers: { adamss_newB: n },
    output: added.output,
    merged: (weights) => ({
      ...added.merged(weights),
      ...(weights.bias ? { bias: add(weights.bias, ofBias()) } : {}),
    }),
    unmerged: (weights) => ({
      ...added.unmerged(weights),
      ...(weights.bias ? { bias: sub(weights.bias, ofBias()) } : {}),
    }),
  };
}
