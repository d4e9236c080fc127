import { linear, type Tensor, transpose } from '@graftjs/tensor';
import type { Context } from './context.ts';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';
import { Site } from './site.ts';

/** What an attachment to a linear layer's input sees. */
export interface LinearInputDetails {
  readonly layer: Linear;
  readonly context: Context;
}

/** What an attachment to a linear layer's output sees. */
export interface LinearDetails {
  /** The layer's input, `[..., in]`, before attachments changed it. */
  readonly input: Tensor;
  readonly layer: Linear;
  readonly context: Context;
}

export interface LinearOptions {
  /** Whether there is one, or another module's, which is then shared. Default false. */
  readonly bias?: boolean | Parameter;
  /** The weight of another module, which is then shared. */
  readonly weight?: Parameter;
  /** The weight is stored as `[in, out]` (GPT-2's Conv1D; PEFT's word for it). Default false: `[out, in]`. */
  readonly fanInFanOut?: boolean;
}

/**
 * `y = x Wᵀ + b` with W `[out, in]`; what is attached to its input changes x, then what is attached to its output y. Whoever computes with W takes
 * {@link Linear.matrix}, which is `[out, in]` in either layout.
 */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly fanInFanOut: boolean;
  /** As the checkpoint stores it: `[out, in]`, or `[in, out]` with `fanInFanOut`. */
  readonly weight: Parameter;
  readonly bias?: Parameter;
  readonly input: Site<LinearInputDetails> = new Site();
  readonly output: Site<LinearDetails> = new Site();

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.fanInFanOut = options.fanInFanOut ?? false;
    const shape = this.fanInFanOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
    this.weight = options.weight ?? new Parameter(shape, undefined, { name: 'weight' });
    if (options.bias instanceof Parameter) this.bias = options.bias;
    else if (options.bias) this.bias = new Parameter([outFeatures], undefined, { name: 'bias' });
  }

  /** W, `[out, in]`. */
  get matrix(): Tensor {
    return this.fanInFanOut ? transpose(this.weight) : this.weight;
  }

  /** A matrix `[out, in]` in the layout of the weight: what is added to W or put in its place. */
  asStored(matrix: Tensor): Tensor {
    return this.fanInFanOut ? transpose(matrix) : matrix;
  }

  forward(input: Tensor, context: Context): Tensor {
    const x = this.input.apply(input, { layer: this, context });
    return this.output.apply(linear(x, this.matrix, this.bias), { input, layer: this, context });
  }
}
