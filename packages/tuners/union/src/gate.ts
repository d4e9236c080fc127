import { type HostRandom, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import { linear, mean, sigmoid, type Tensor } from '@graftjs/tensor';

/**
 * The gate of UniPELT (Mao et al., 2022, arXiv:2110.07577): for each text numbers between 0 and 1, the mean over its
 * row of σ(G x + g), G `[n, hidden]`, g `[n]`.
 */
export class Gate {
  /** By AdapterHub's names below the gate. */
  readonly parameters: Readonly<Record<'weight' | 'bias', Parameter>>;

  /** @param count n */
  constructor(count: number, hidden: number, random: HostRandom) {
    this.parameters = {
      weight: new Parameter([count, hidden], normalArray(count * hidden, 0.02, random)),
      bias: new Parameter([count], uniformArray(count, 1 / Math.sqrt(hidden), random)),
    };
  }

  /** x `[b, t, hidden]` -> `[b, 1, n]`. */
  forward(x: Tensor): Tensor {
    const { weight, bias } = this.parameters;
    return mean(sigmoid(linear(x, weight, bias)), [1], { keepDims: true });
  }
}
