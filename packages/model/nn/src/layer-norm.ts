import { layerNorm } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';
import { Site } from './site.ts';

/** What a norm multiplies by and adds, `[dim]`. */
export interface NormWeights {
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/** What an attachment to a norm's output sees. */
export interface NormDetails {
  /** The norm's input, `[..., dim]`. */
  readonly input: Tensor;
}

/** `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias` over the last axis (Ba, Kiros and Hinton, 2016). */
export class LayerNorm extends Module {
  readonly eps: number;
  readonly weight: Parameter;
  readonly bias?: Parameter;
  readonly output: Site<NormDetails> = new Site();

  constructor(dim: number, eps: number, options: { readonly bias?: boolean } = {}) {
    super();
    this.eps = eps;
    this.weight = new Parameter([dim], new Float32Array(dim).fill(1), { name: 'weight' });
    if (options.bias ?? true) this.bias = new Parameter([dim], undefined, { name: 'bias' });
  }

  forward(x: Tensor): Tensor {
    return this.output.apply(this.normalize(x, this), { input: x });
  }

  /** The norm of `x` with these weights in the place of its own. */
  normalize(x: Tensor, { weight, bias }: NormWeights): Tensor {
    return layerNorm(x, { weight, ...(bias ? { bias } : {}), eps: this.eps });
  }
}
