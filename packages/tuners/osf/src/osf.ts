/**
 * OSF, orthogonal subspace fine-tuning (Nayak et al., 2025, arXiv:2504.07097): of W = U S Vᵀ the large singular directions
 * keep what the model knows, and the small ones are trained.
 *
 *     W becomes U_h S_h V_hᵀ + U_l diag(S_l) V_l,   h the first `effective_rank` directions, l the others
 *
 * U_l `[out, n]`, S_l `[n]` and V_l `[n, in]`, n = min(in, out) - effective_rank, are trained from what they are in W, and
 * their gradients have no part in the span of U_h and V_h: the trained directions stay orthogonal to the kept ones.
 */
import { columnsOf, floats, matrixOf, range, singularValues } from '@graftjs/decompositions';
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  type AttachContext,
  addedChange,
  ConfigError,
  type ConfigField,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerWeight,
} from '@graftjs/peft';
import { linear, matmul, mul, sub, type Tensor } from '@graftjs/tensor';
import { projectedColumns, projectedRows } from './projected.ts';
import { osfTargets } from './targets.ts';

const isRank = (value: unknown): value is number =>
  typeof value === 'number' && (Number.isSafeInteger(value) || (value > 0 && value < 1));

/** Every key of PEFT's `OSFConfig` with its default. */
export const osfSchema = {
  ...chosenFields,
  /** Directions that are kept: how many, or which share of a layer's. Null: half of them. */
  effectiveRank: {
    key: 'effective_rank',
    initial: null,
    expects: 'a whole number, a share between 0 and 1, or null',
    accepts: (value) => value === null || isRank(value),
  } as ConfigField<number | null>,
  /** `effectiveRank` by regular expressions that occur in a layer's path; the first one counts. */
  rankPattern: {
    key: 'rank_pattern',
    initial: null,
    expects: 'an object of patterns and whole numbers or shares, or null',
    accepts: (value) =>
      value === null ||
      (typeof value === 'object' && !Array.isArray(value) && Object.values(value as object).every(isRank)),
  } as ConfigField<Readonly<Record<string, number>> | null>,
  /** False starts what is trained at random, which is for tests. */
  initWeights: field.boolean('init_weights', true),
  /** PEFT reads it and makes nothing of it. */
  targetSvdConfig: field.inert('target_svd_config', null),
} as const;

export type OsfConfig = LayerConfig<typeof osfSchema, 'OSF'>;

const method = defineLayerTuner({
  peftType: 'OSF',
  schema: osfSchema,
  kind: 'OSF changes linear layers',
  defaultTargets: osfTargets,
  otherTargets: 'all-linear',
  adapt: async (config, layers, context) => {
    const ranks = new Map([...layers].map(([path, layer]) => [path, keptRank(path, layer, config)]));
    const adapted = new Map<string, LayerAdapter>();
    for (const [path, layer] of layers)
      adapted.set(path, await adaptLayer(path, layer, { kept: ranks.get(path)!, config, context }));
    return { layers: adapted };
  },
});

/** OSF for linear layers: give it to a `PeftModel` among its tuners. */
export const osf = method.tuner;
/** A config of OSF: PEFT's defaults and what the options say. @throws ConfigError */
export const osfConfig = method.config;

/** How many directions of a layer are kept. @throws ConfigError where that is none or all of them */
function keptRank(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { effectiveRank, rankPattern }: OsfConfig,
): number {
  const all = Math.min(inFeatures, outFeatures);
  const own = Object.entries(rankPattern ?? {}).find(([pattern]) => new RegExp(pattern).test(path));
  const [key, wanted] = own ? ['rank_pattern', own[1]] : ['effective_rank', effectiveRank];
  const kept = wanted === null ? Math.floor(all / 2) : Math.floor(wanted < 1 ? all * wanted : wanted);
  if (kept >= 1 && kept < all) return kept;
  const left = kept < 1 ? 'keeps none' : 'leaves none to train';
  throw new ConfigError(key, wanted, `${left} of the ${all} directions of ${path}`);
}

interface Parts {
  readonly kept: number;
  readonly config: OsfConfig;
  readonly context: AttachContext;
}

async function adaptLayer(
  path: string,
  layer: Linear,
  { kept, config, context }: Parts,
): Promise<LayerAdapter> {
  const { inFeatures, outFeatures } = layer;
  const { u, s, v } = singularValues(
    matrixOf(outFeatures, inFeatures, await layerWeight(context.runtime, layer)),
  );
  const [high, low] = [range(0, kept), range(kept, s.length)];
  const n = low.length;
  const parameter = (name: string, shape: readonly number[], data: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
  const trio = (from: string, values: readonly Float32Array<ArrayBuffer>[]) => ({
    u: parameter(`${from}.U_low`, [outFeatures, n], values[0]!),
    s: parameter(`${from}.S_low`, [n], values[1]!),
    v: parameter(`${from}.V_low`, [n, inFeatures], values[2]!),
  });
  const initial = [
    floats(columnsOf(u, low)),
    Float32Array.from(low, (i) => s[i]!),
    floats(columnsOf(v, low).transpose()),
  ];
  const before = trio('osf_initial', initial);
  const start = config.initWeights
    ? initial.map((values) => values.slice())
    : initial.map(({ length }) => normalArray(length, 1, context.random));
  const trained = trio('osf_svd_params', start);
  const frozenU = parameter('osf_U_high', [outFeatures, kept], floats(columnsOf(u, high)));
  const frozenV = parameter('osf_V_high', [kept, inFeatures], floats(columnsOf(v, high).transpose()));
  const uLow = (): Tensor => projectedColumns(trained.u, frozenU);
  const vLow = (): Tensor => projectedRows(trained.v, frozenV);
  return {
    parameters: {
      'osf_svd_params.U_low': trained.u,
      'osf_svd_params.S_low': trained.s,
      'osf_svd_params.V_low': trained.v,
    },
    ...addedChange(layer, {
      change: (x) =>
        sub(
          linear(mul(linear(x, vLow()), trained.s), uLow()),
          linear(mul(linear(x, before.v), before.s), before.u),
        ),
      delta: () =>
        sub(matmul(mul(trained.u, trained.s), trained.v), matmul(mul(before.u, before.s), before.v)),
    }),
  };
}
