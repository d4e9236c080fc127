import { linear, type Tensor } from '@graftjs/tensor';
import type { Context } from './context.ts';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';
import { Site } from './site.ts';

/** What an attachment to a linear layer sees. */
export interface LinearDetails {
  /** The layer's input, `[..., in]`. */
  readonly input: Tensor;
  readonly layer: Linear;
  readonly context: Context;
}

/** `y = x Wᵀ + b` with W `[out, in]`; then what is attached to its output changes y. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Parameter;
  readonly bias?: Parameter;
  readonly output: Site<LinearDetails> = new Site();

  constructor(
    inFeatures: number,
    outFeatures: number,
    options: { readonly bias?: boolean; readonly weight?: Parameter } = {},
  ) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = options.weight ?? new Parameter([outFeatures, inFeatures], undefined, { name: 'weight' });
    if (options.bias) this.bias = new Parameter([outFeatures], undefined, { name: 'bias' });
  }

  forward(input: Tensor, context: Context): Tensor {
    return this.output.apply(linear(input, this.weight, this.bias), { input, layer: this, context });
  }
}
