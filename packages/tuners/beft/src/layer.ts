/**
 * BEFT, bias-efficient fine-tuning (Huang, Balashankar and Aminifar, 2025, arXiv:2509.15974): a bias of its own for each
 * projection of values.
 *
 *     y = x Wᵀ + b + β,   β [1, out], which starts at zero
 *
 * Merged: b + β, where the layer has a bias.
 */
import { type HostRandom, type Linear, normalArray, Parameter } from '@graftjs/nn';
import type { LayerAdapter } from '@graftjs/peft';
import { add, cast, reshape, sub, type Tensor } from '@graftjs/tensor';
import type { BeftConfig } from './config.ts';

/** What the method does at one linear layer. */
export function addedBias(
  path: string,
  { outFeatures, bias: base }: Linear,
  { initWeights }: BeftConfig,
  random: HostRandom,
): LayerAdapter {
  const start = initWeights ? undefined : normalArray(outFeatures, 1, random);
  const beta = new Parameter([1, outFeatures], start, { name: `${path}.beft_bias`, trainable: false });
  const flat = (): Tensor => reshape(beta, [outFeatures]);
  const adapter: LayerAdapter = {
    parameters: { beft_bias: beta },
    output: (y) => add(y, cast(flat(), y.dtype)),
  };
  if (!base) return adapter; // β would have nowhere to go: such a layer is not merged
  return {
    ...adapter,
    merged: ({ weight, bias }) => ({ weight, bias: add(bias!, flat()) }),
    unmerged: ({ weight, bias }) => ({ weight, bias: sub(bias!, flat()) }),
  };
}
