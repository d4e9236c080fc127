import { type Linear, type LinearDetails, trainingDropout } from '@graftjs/nn';
import { add, cast, sub, type Tensor } from '@graftjs/tensor';
import type { LayerAdapter, LayerWeights } from './layer-tuner.ts';

/** A change that is added to what a linear layer computes: `y = x Wᵀ + b + change(dropout(x))`. */
export interface AddedChange {
  /** The change for inputs `[..., in]`: `[..., out]`, both f32. */
  readonly change: (x: Tensor, layer: Linear) => Tensor;
  /** ΔW `[out, in]`, f32: the matrix by which `change` multiplies. */
  readonly delta: () => Tensor;
  /** Chance that an element of the change's input is zero in training. Default 0. */
  readonly dropout?: number;
  /** For the error where dropout has no seed: what asks for it. */
  readonly where?: string;
}

/** The parts of a {@link LayerAdapter} that add a change. */
export function addedChange({
  change,
  delta,
  dropout = 0,
  where = 'dropout',
}: AddedChange): Required<Pick<LayerAdapter, 'output' | 'merged' | 'unmerged'>> {
  const withWeight = (weights: LayerWeights, weight: Tensor): LayerWeights => ({ ...weights, weight });
  return {
    output: (y: Tensor, { input, layer, context }: LinearDetails) => {
      const x = trainingDropout(cast(input, 'f32'), dropout, context, where);
      return add(y, cast(change(x, layer), y.dtype));
    },
    merged: (weights) => withWeight(weights, add(weights.weight, delta())),
    unmerged: (weights) => withWeight(weights, sub(weights.weight, delta())),
  };
}
