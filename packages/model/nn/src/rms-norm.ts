import { rmsNorm } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';

/** `x / sqrt(mean(x²) + eps) * weight` over the last axis (Zhang and Sennrich, 2019). */
export class RmsNorm extends Module {
  readonly eps: number;
  readonly weight: Parameter;

  constructor(dim: number, eps: number) {
    super();
    this.eps = eps;
    this.weight = new Parameter([dim], new Float32Array(dim).fill(1), { name: 'weight' });
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps });
  }
}
