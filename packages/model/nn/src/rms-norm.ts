import { rmsNorm } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';
import type { NormDetails, NormWeights } from './layer-norm.ts';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';
import { Site } from './site.ts';

export interface RmsNormOptions {
  /** Added to the weight: 1 where checkpoints store its distance from 1 (Gemma's). Default 0. */
  readonly weightOffset?: number;
}

/** `x / sqrt(mean(x²) + eps) * (weight + weightOffset)` over the last axis (Zhang and Sennrich, 2019). */
export class RmsNorm extends Module {
  readonly eps: number;
  readonly weightOffset: number;
  readonly weight: Parameter;
  readonly output: Site<NormDetails> = new Site();

  constructor(dim: number, eps: number, { weightOffset = 0 }: RmsNormOptions = {}) {
    super();
    this.eps = eps;
    this.weightOffset = weightOffset;
    this.weight = new Parameter([dim], new Float32Array(dim).fill(1 - weightOffset), { name: 'weight' });
  }

  forward(x: Tensor): Tensor {
    return this.output.apply(this.normalize(x, this), { input: x });
  }

  /** The norm of `x` with another weight in the place of its own. */
  normalize(x: Tensor, { weight }: NormWeights): Tensor {
    return rmsNorm(x, weight, { eps: this.eps, weightOffset: this.weightOffset });
  }
}
