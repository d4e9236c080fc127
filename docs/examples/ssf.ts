/** SSF (Lian et al., 2022, arXiv:2210.08823): y = γ ∘ (x Wᵀ + b) + β, with γ and β `[out]` trained from 1 and 0. */
import { type Linear, Parameter } from '@graftjs/nn';
import {
  attentionTargets,
  defineLayerTuner,
  type LayerAdapter,
  type Method,
  targetFields,
} from '@graftjs/peft';
import { add, mul, reshape } from '@graftjs/tensor';

const ssf = defineLayerTuner({
  peftType: 'SSF',
  kind: 'SSF scales and shifts the outputs of linear layers',
  schema: targetFields,
  defaultTargets: attentionTargets,
  adapt: (_, layers) => ({
    layers: new Map([...layers].map(([path, layer]) => [path, scaleAndShift(path, layer)])),
  }),
});

function scaleAndShift(path: string, { outFeatures: out, bias }: Linear): LayerAdapter {
  const gamma = new Parameter([out], new Float32Array(out).fill(1), { name: `${path}.ssf_gamma` });
  const beta = new Parameter([out], new Float32Array(out), { name: `${path}.ssf_beta` });
  const adapter: LayerAdapter = {
    parameters: { ssf_gamma: gamma, ssf_beta: beta },
    output: (y) => add(mul(y, gamma), beta),
  };
  if (!bias) return adapter; // β would have nowhere to go: such a layer is not merged
  return {
    ...adapter,
    merged: ({ weight, bias: b }) => ({
      weight: mul(weight, reshape(gamma, [out, 1])),
      bias: add(mul(b!, gamma), beta),
    }),
  };
}

export const methods: readonly Method[] = [
  {
    name: 'ssf',
    about: 'Scales and shifts the outputs of linear layers',
    paper: 'Lian et al., 2022, arXiv:2210.08823',
    tuner: ssf.tuner,
    schema: targetFields,
    config: ssf.config,
    learningRate: 1e-2,
  },
];
