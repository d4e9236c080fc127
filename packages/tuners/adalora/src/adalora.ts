/**
 * AdaLoRA (Zhang et al., 2023, arXiv:2303.10512): a low-rank change in the form of a singular value decomposition,
 *
 *     y = x Wᵀ + b + s · P (Λ ∘ (Q dropout(x))),   Q = lora_A [r, in], Λ = lora_E [r, 1], P = lora_B [out, r]
 *
 * with s = alpha / (r + 1e-5). In training, singular values of little importance are set to zero (`rank-schedule.ts`),
 * and a penalty keeps P and Q near orthogonal. A saved adapter has the ranks that are left, and which they were is in its
 * config (`rank_pattern`); s stays that of the first rank.
 */
import { type HostRandom, type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AdapterTensor,
  addedChange,
  BASE_PREFIX,
  defineLayerTuner,
  type LayerAdapter,
} from '@graftjs/peft';
import { linear, matmul, mul, reshape } from '@graftjs/tensor';
import { type AdaloraConfig, adaloraSchema, checkConfig } from './config.ts';
import { defaultTargets } from './default-targets.ts';

const method = defineLayerTuner({
  peftType: 'ADALORA',
  schema: adaloraSchema,
  kind: 'AdaLoRA changes linear layers',
  defaultTargets,
  check: checkConfig,
  adapt: (config, layers, { random }) => ({
    layers: new Map([...layers].map(([path, layer]) => [path, adaptLayer(path, layer, config, random)])),
    savedForm: emptyForm([...layers].filter(([path]) => rankOf(path, config) === 0)),
  }),
});

/** AdaLoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const adalora = method.tuner;
/** A config of AdaLoRA: PEFT's defaults and what the options say; `totalStep` must be given. @throws ConfigError */
export const adaloraConfig = method.config;

/** How many ranks a target has: those that are left of a saved adapter, or all. */
function rankOf(path: string, { initR, rankPattern }: AdaloraConfig): number {
  const left = rankPattern?.[`${path}.lora_E`];
  return left ? left.filter(Boolean).length : initR;
}

/** Files of PEFT have tensors without elements for targets of which no rank is left; here these have none. */
function emptyForm(targets: readonly (readonly [string, Linear])[]) {
  const data = new Float32Array();
  const empty = new Map<string, AdapterTensor>(
    targets.flatMap(([path, { inFeatures, outFeatures }]) => [
      [`${BASE_PREFIX}${path}.lora_A`, { shape: [0, inFeatures], data }],
      [`${BASE_PREFIX}${path}.lora_B`, { shape: [outFeatures, 0], data }],
      [`${BASE_PREFIX}${path}.lora_E`, { shape: [0, 1], data }],
    ]),
  );
  return {
    encode: (state: AdapterState): AdapterState => new Map([...state, ...empty]),
    decode: (state: AdapterState): AdapterState =>
      new Map([...state].filter(([key, tensor]) => !(empty.has(key) && tensor.data.length === 0))),
  };
}

function adaptLayer(path: string, layer: Linear, config: AdaloraConfig, random: HostRandom): LayerAdapter {
  const { initR, loraAlpha, loraDropout, initLoraWeights } = config;
  const { inFeatures, outFeatures } = layer;
  const r = rankOf(path, config);
  if (r === 0) return { parameters: {}, merged: (weights) => weights, unmerged: (weights) => weights };
  const parameter = (name: string, shape: readonly number[], deviation: number): Parameter =>
    new Parameter(
      shape,
      normalArray(
        shape.reduce((a, b) => a * b),
        deviation,
        random,
      ),
      { name: `${path}.${name}`, trainable: false },
    );
  const spread = initLoraWeights ? 0.02 : 1;
  const a = parameter('lora_A', [r, inFeatures], spread);
  const b = parameter('lora_B', [outFeatures, r], spread);
  const e = parameter('lora_E', [r, 1], initLoraWeights ? 0 : 1);
  const scale = mul(reshape(e, [r]), (loraAlpha > 0 ? loraAlpha : initR) / (initR + 1e-5));
  return {
    parameters: { lora_A: a, lora_B: b, lora_E: e },
    ...addedChange(layer, {
      change: (x) => linear(mul(linear(x, a), scale), b),
      delta: () => matmul(mul(b, scale), a),
      dropout: loraDropout,
      where: `${path}: lora_dropout`,
    }),
  };
}
