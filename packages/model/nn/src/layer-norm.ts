import { layerNorm } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';

/** `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias` over the last axis (Ba, Kiros and Hinton, 2016). */
export class LayerNorm extends Module {
  readonly eps: number;
  readonly weight: Parameter;
  readonly bias?: Parameter;

  constructor(dim: number, eps: number, options: { readonly bias?: boolean } = {}) {
    super();
    this.eps = eps;
    this.weight = new Parameter([dim], new Float32Array(dim).fill(1), { name: 'weight' });
    if (options.bias ?? true) this.bias = new Parameter([dim], undefined, { name: 'bias' });
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return layerNorm(x, { weight, ...(bias ? { bias } : {}), eps });
  }
}
