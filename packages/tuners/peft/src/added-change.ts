import { type Linear, type LinearDetails, trainingDropout } from '@graftjs/nn';
import { add, cast, equal, iota, sub, type Tensor, transpose } from '@graftjs/tensor';
import type { LayerAdapter, LayerWeights } from './layer-tuner.ts';

/** A change that is added to what a linear layer computes: `y = x Wᵀ + b + change(dropout(x))`. */
export interface AddedChange {
  /** The change for inputs `[..., in]`: `[..., out]`, both f32. It is linear. */
  readonly change: (x: Tensor) => Tensor;
  /** ΔW `[out, in]`, f32: the matrix by which `change` multiplies. Default: the change of the unit matrix. */
  readonly delta?: () => Tensor;
  /** Chance that an element of the change's input is zero in training. Default 0. */
  readonly dropout?: number;
  /** For the error where dropout has no seed: what asks for it. */
  readonly where?: string;
}

/** The parts of a {@link LayerAdapter} that add a change to a layer. */
export function addedChange(
  { inFeatures }: Linear,
  { change, delta = () => transpose(change(unit(inFeatures))), dropout = 0, where = 'dropout' }: AddedChange,
): Required<Pick<LayerAdapter, 'output' | 'merged' | 'unmerged'>> {
  const withWeight = (weights: LayerWeights, weight: Tensor): LayerWeights => ({ ...weights, weight });
  return {
    output: (y: Tensor, { input, context }: LinearDetails) => {
      const x = trainingDropout(cast(input, 'f32'), dropout, context, where);
      return add(y, cast(change(x), y.dtype));
    },
    merged: (weights) => withWeight(weights, add(weights.weight, delta())),
    unmerged: (weights) => withWeight(weights, sub(weights.weight, delta())),
  };
}

const unit = (size: number): Tensor => cast(equal(iota([size, size], 0), iota([size, size], 1)), 'f32');
