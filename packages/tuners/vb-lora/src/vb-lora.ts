/**
 * VB-LoRA (Li et al., 2024, arXiv:2405.15179): low-rank matrices whose rows and columns are put together from parts of
 * length b, each a mixture of the k vectors of one shared bank that its logits like best:
 *
 *     y = x Wᵀ + c + B (A dropout(x)),   A [r, in] and B [out, r] of parts  Σ_j softmax(top_k(logits))_j bank_j
 *
 * bank `[h, b]` is trained with logits `[r, in / b, h]` for A and `[out / b, r, h]` for B. The mixtures are a product
 * with the bank in which all but k weights are zero: h · r (in + out) products a layer, whatever the batch is.
 */
import { type HostRandom, type Linear, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import {
  addedChange,
  ConfigError,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  targetFields,
} from '@graftjs/peft';
import {
  detach,
  div,
  exp,
  less,
  linear,
  matmul,
  max,
  permute,
  reshape,
  sub,
  sum,
  type Tensor,
  where,
} from '@graftjs/tensor';
import { defaultTargets } from './default-targets.ts';
import { topKForm } from './top-k-form.ts';

/** Every key of PEFT's `VBLoRAConfig` with its default. */
export const vbLoraSchema = {
  ...targetFields,
  ...layerFields,
  /** Rank. */
  r: field.count('r', 4),
  /** h: vectors in the bank. */
  numVectors: field.count('num_vectors', 256),
  /** b: divides the input's and the output's size of every target. */
  vectorLength: field.count('vector_length', 256),
  /** k: vectors in a mixture. */
  topk: field.count('topk', 2),
  /** Files hold the k chosen indices and k - 1 weights instead of h logits: small, but not to train on from. */
  saveOnlyTopkWeights: field.boolean('save_only_topk_weights', false),
  vbloraDropout: field.chance('vblora_dropout', 0),
  /** The bank starts uniform within ± this. */
  initVectorBankBound: field.float('init_vector_bank_bound', 0.02),
  /** Logits start normal with this deviation. */
  initLogitsStd: field.float('init_logits_std', 0.1),
  /** Of layers that store weights as `[in, out]`; set right by the model. */
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'vblora_only']),
} as const;

export type VbLoraConfig = LayerConfig<typeof vbLoraSchema, 'VBLORA'>;

const method = defineLayerTuner({
  peftType: 'VBLORA',
  schema: vbLoraSchema,
  kind: 'VB-LoRA changes linear layers',
  defaultTargets,
  check: ({ topk, numVectors }) => {
    if (topk > numVectors)
      throw new ConfigError('topk', topk, `is more than the ${numVectors} vectors there are`);
  },
  adapt: (config, layers, { random }) => {
    const { numVectors, vectorLength, initVectorBankBound } = config;
    const bank = new Parameter(
      [numVectors, vectorLength],
      uniformArray(numVectors * vectorLength, initVectorBankBound, random),
      { name: 'vblora_vector_bank', trainable: false },
    );
    return {
      layers: new Map(
        [...layers].map(([path, layer]) => [path, adaptLayer(path, layer, bank, config, random)]),
      ),
      shared: { vblora_vector_bank: bank },
      sharedIsTrained: true,
      ...(config.saveOnlyTopkWeights ? { savedForm: topKForm(config) } : {}),
    };
  },
});

/** VB-LoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const vbLora = method.tuner;
/** A config of VB-LoRA: PEFT's defaults and what the options say. @throws ConfigError */
export const vbLoraConfig = method.config;

function adaptLayer(
  path: string,
  layer: Linear,
  bank: Parameter,
  { r, numVectors, vectorLength, topk, initLogitsStd, vbloraDropout }: VbLoraConfig,
  random: HostRandom,
): LayerAdapter {
  const { inFeatures, outFeatures } = layer;
  if (inFeatures % vectorLength !== 0 || outFeatures % vectorLength !== 0)
    throw new ConfigError(
      'vector_length',
      vectorLength,
      `must divide both sizes of ${path}, ${inFeatures} and ${outFeatures}`,
    );
  const logits = (name: string, shape: readonly number[]): Parameter => {
    const size = shape.reduce((a, n) => a * n, 1);
    return new Parameter(shape, normalArray(size, initLogitsStd, random), {
      name: `${path}.${name}`,
      trainable: false,
    });
  };
  const logitsA = logits('vblora_logits_A', [r, inFeatures / vectorLength, numVectors]);
  const logitsB = logits('vblora_logits_B', [outFeatures / vectorLength, r, numVectors]);
  const a = reshape(mixtures(logitsA, bank, topk), [r, inFeatures]);
  const b = reshape(permute(mixtures(logitsB, bank, topk), [0, 2, 1]), [outFeatures, r]);
  return {
    parameters: { vblora_logits_A: logitsA, vblora_logits_B: logitsB },
    ...addedChange(layer, {
      change: (x) => linear(linear(x, a), b),
      delta: () => matmul(b, a),
      dropout: vbloraDropout,
      where: `${path}: vblora_dropout`,
    }),
  };
}

/** `softmax(top_k(logits)) bank`: logits `[m, n, h]`, bank `[h, b]` -> `[m, n, b]`. */
function mixtures(logits: Tensor, bank: Tensor, k: number): Tensor {
  const [m, n, h] = logits.shape as [number, number, number];
  const fixed = detach(logits);
  const last = { keepDims: true };
  const largest = max(fixed, [-1], last);
  let least = largest;
  for (let i = 1; i < k; i++) least = max(where(less(fixed, least), fixed, lowest), [-1], last);
  const weights = where(less(fixed, least), 0, exp(sub(logits, largest)));
  const mixed = div(weights, sum(weights, [-1], last));
  return reshape(matmul(reshape(mixed, [m * n, h]), bank), [m, n, bank.shape[1]!]);
}

/** Below every logit. */
const lowest = -3e38;
