/**
 * Super-Tuning (2026, arXiv:2607.09287): of each weight the entries that are largest, or smallest, in magnitude are
 * trained, and with a rank r (then called Supra) a low-rank change beside them.
 *
 *     y = x (W + S)ᵀ + b + α/r · B (A dropout(x)),   S zero but for n = ⌊(1 - sparsity) in · out⌋ entries
 *
 * A `[r, in]` and B `[out, r]`, as in LoRA. S and B start at zero. Places are numbers of elements of W `[out, in]`.
 */
import { type Linear, normalArray, Parameter, uniformArray } from '@graftjs/nn';
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
  layerWeight,
} from '@graftjs/peft';
import { linear, matmul, mul, reshape, scatterAdd, type Tensor } from '@graftjs/tensor';

/** Every key of PEFT's `SupertuningConfig` with its default. */
export const supertuningSchema = {
  ...chosenFields,
  /** Share of a weight's entries that are not trained. */
  sparsity: {
    key: 'sparsity',
    initial: 0.99,
    expects: 'a number from 0 on, below 1',
    accepts: (value) => typeof value === 'number' && value >= 0 && value < 1,
    float: true,
  } as ConfigField<number>,
  /** Trains the entries of the largest magnitude; false: of the smallest. */
  selectTop: field.boolean('select_top', true),
  /** Rank of the change beside the entries; null: none. */
  r: {
    key: 'r',
    initial: null,
    expects: 'a whole number from 1 on, or null',
    accepts: (value) => value === null || (Number.isSafeInteger(value) && (value as number) >= 1),
  } as ConfigField<number | null>,
  /** α. Null, with a rank: 2 r. */
  loraAlpha: {
    key: 'lora_alpha',
    initial: null,
    expects: 'a number or null',
    accepts: (value) => value === null || Number.isFinite(value),
  } as ConfigField<number | null>,
  /** Chance that an element of the low-rank change's input is zero in training. */
  loraDropout: field.chance('lora_dropout', 0),
  /** False starts S and B at random, which is for tests. */
  initWeights: field.boolean('init_weights', true),
  /** Places are saved. False: they are found again in the base's weights. */
  savePrecomputedIndices: field.boolean('save_precomputed_indices', true),
} as const;

export type SupertuningConfig = LayerConfig<typeof supertuningSchema, 'SUPERTUNING'>;

const method = defineLayerTuner({
  peftType: 'SUPERTUNING',
  schema: supertuningSchema,
  check: ({ r, loraAlpha }) => {
    if (r === null && loraAlpha !== null)
      throw new ConfigError('lora_alpha', loraAlpha, 'scales a low-rank change: give r, too');
  },
  kind: 'Super-Tuning changes linear layers',
  defaultTargets: attentionTargets,
  adapt: async (given, layers, context) => {
    const config = { ...given, loraAlpha: given.r === null ? null : (given.loraAlpha ?? 2 * given.r) };
    const counts = new Map([...layers].map(([path, layer]) => [path, countOf(path, layer, config)]));
    const adapted = new Map<string, LayerAdapter>();
    for (const [path, layer] of layers) {
      const n = counts.get(path)!;
      const found = context.loading && config.savePrecomputedIndices;
      const places = found ? undefined : await findPlaces(layer, n, config, context);
      adapted.set(path, adaptLayer(path, layer, { n, places, config, random: context.random }));
    }
    return { layers: adapted, config };
  },
});

/** Super-Tuning for linear layers: give it to a `PeftModel` among its tuners. */
export const supertuning = method.tuner;
/** A config of Super-Tuning: PEFT's defaults and what the options say. @throws ConfigError */
export const supertuningConfig = method.config;

/** @throws ConfigError where no entry would be trained */
function countOf(path: string, { inFeatures, outFeatures }: Linear, { sparsity }: SupertuningConfig): number {
  const size = inFeatures * outFeatures;
  const n = Math.floor(size * (1 - sparsity));
  if (n >= 1) return n;
  throw new ConfigError(
    'sparsity',
    sparsity,
    `leaves nothing to train of ${path}, which has ${size} entries`,
  );
}

/** The n places of the largest or smallest magnitudes; of equal ones the first. */
async function findPlaces(
  layer: Linear,
  n: number,
  { selectTop }: SupertuningConfig,
  { runtime }: AttachContext,
): Promise<Int32Array<ArrayBuffer>> {
  const magnitudes = (await layerWeight(runtime, layer)).map(Math.abs);
  const order = Int32Array.from(magnitudes, (_, i) => i).sort(
    selectTop
      ? (a, b) => magnitudes[b]! - magnitudes[a]! || a - b
      : (a, b) => magnitudes[a]! - magnitudes[b]! || a - b,
  );
  return order.slice(0, n);
}

interface Parts {
  readonly n: number;
  readonly places: Int32Array<ArrayBuffer> | undefined;
  readonly config: SupertuningConfig;
  readonly random: AttachContext['random'];
}

function adaptLayer(path: string, layer: Linear, { n, places, config, random }: Parts): LayerAdapter {
  const { inFeatures, outFeatures } = layer;
  const start = config.initWeights ? undefined : normalArray(n, 1, random);
  const values = new Parameter([n], start, { name: `${path}.supertuning_values`, trainable: false });
  const indices = new Parameter([n], places, {
    dtype: 'i32',
    name: `${path}.supertuning_indices`,
    trainable: false,
  });
  const entries = (): Tensor =>
    reshape(scatterAdd(values, indices, outFeatures * inFeatures), [outFeatures, inFeatures]);
  const sparse = addedChange(layer, { change: (x) => linear(x, entries()), delta: entries });
  const buffers = config.savePrecomputedIndices ? { supertuning_indices: indices } : {};
  const parts = { parameters: { supertuning_values: values }, buffers };
  if (config.r === null) return { ...parts, ...sparse };
  const matrix = (name: string, [rows, columns]: [number, number], zero: boolean): Parameter =>
    new Parameter(
      [rows, columns],
      zero ? undefined : uniformArray(rows * columns, 1 / Math.sqrt(columns), random),
      {
        name: `${path}.${name}`,
        trainable: false,
      },
    );
  const a = matrix('supertuning_lora_A', [config.r, inFeatures], false);
  const b = matrix('supertuning_lora_B', [outFeatures, config.r], config.initWeights);
  const scale = config.loraAlpha! / config.r;
  const low = addedChange(layer, {
    change: (x) => mul(linear(linear(x, a), b), scale),
    delta: () => mul(matmul(b, a), scale),
    dropout: config.loraDropout,
    where: `${path}: lora_dropout`,
  });
  return {
    parameters: {
      ...parts.parameters,
      'supertuning_lora_A.weight': a,
      'supertuning_lora_B.weight': b,
    },
    buffers,
    output: (y, details) => low.output(sparse.output(y, details), details),
    merged: (weights) => low.merged(sparse.merged(weights)),
    unmerged: (weights) => low.unmerged(sparse.unmerged(weights)),
  };
}
