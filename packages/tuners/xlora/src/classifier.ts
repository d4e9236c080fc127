/**
 * What mixes the experts: linear layers over a hidden state h of the base, with ReLU between them, give each token a
 * scaling for each expert, and with `layerwise_scalings` for each layer.
 *
 *     scalings = softmax(W_n relu(… relu(W_1 h + b_1) …) + b_n) / temperature)   [b, t, layers, experts]
 */
import { type Context, type HostRandom, Parameter, trainingDropout, uniformArray } from '@graftjs/nn';
import { softmax } from '@graftjs/ops';
import {
  add,
  and,
  broadcastTo,
  cast,
  div,
  equal,
  exp,
  iota,
  less,
  linear,
  max,
  maximum,
  mul,
  not,
  or,
  reshape,
  sub,
  sum,
  type Tensor,
  unsqueeze,
  where,
} from '@graftjs/tensor';
import type { XloraConfig } from './config.ts';

export interface ClassifierSize {
  readonly hidden: number;
  readonly layers: number;
  readonly experts: number;
}

export class Classifier {
  readonly #config: XloraConfig;
  readonly #size: ClassifierSize;
  readonly #layers: readonly {
    readonly name: string;
    readonly weight: Parameter;
    readonly bias: Parameter;
  }[];

  /** Weights start as torch's `Linear` does: uniform in ±1/√in. */
  constructor(config: XloraConfig, size: ClassifierSize, random: HostRandom) {
    this.#config = config;
    this.#size = size;
    const { xloraDepth, xloraSize, layerwiseScalings, xloraDropoutP } = config;
    // ReLU and dropout count among the parts of the Sequential.
    const step = xloraDropoutP > 0 ? 3 : 2;
    const last = size.experts * (layerwiseScalings ? size.layers : 1);
    this.#layers = Array.from({ length: xloraDepth }, (_, i) => {
      const inner = i === 0 ? size.hidden : xloraSize;
      const outer = i === xloraDepth - 1 ? last : xloraSize;
      const bound = 1 / Math.sqrt(inner);
      const name = `layers.${i * step}`;
      const parameter = (field: string, shape: readonly number[]): Parameter =>
        new Parameter(
          shape,
          uniformArray(
            shape.reduce((n, d) => n * d, 1),
            bound,
            random,
          ),
          {
            name: `xlora ${name}.${field}`,
            trainable: false,
          },
        );
      return { name, weight: parameter('weight', [outer, inner]), bias: parameter('bias', [outer]) };
    });
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const { name, weight, bias } of this.#layers) {
      yield [`${name}.weight`, weight];
      yield [`${name}.bias`, bias];
    }
  }

  /** Hidden states `[b, t, hidden]` -> `[b, t, layers, experts]`. */
  scalings(hidden: Tensor, context: Context): Tensor {
    const [b, t] = hidden.shape as [number, number, number];
    const { layers, experts } = this.#size;
    const { layerwiseScalings, enableSoftmax, softmaxTemperature, xloraDropoutP } = this.#config;
    let x = cast(hidden, 'f32');
    for (const [i, { weight, bias }] of this.#layers.entries()) {
      if (i > 0) x = trainingDropout(maximum(x, 0), xloraDropoutP, context, 'xlora_dropout_p');
      x = linear(x, weight, bias);
    }
    const logits = layerwiseScalings
      ? reshape(x, [b, t, layers, experts])
      : broadcastTo(unsqueeze(x, 2), [b, t, layers, experts]);
    return enableSoftmax ? softmax(mul(logits, 1 / softmaxTemperature)) : logits;
  }
}

/** Scalings of one layer `[b, t, experts]` after the choice of the best `k` experts, and after their softmax. */
export function chosen(
  scalings: Tensor,
  { topKLora: k, enableSoftmaxTopk }: Pick<XloraConfig, 'topKLora' | 'enableSoftmaxTopk'>,
): Tensor {
  const n = scalings.shape.at(-1)!;
  let left = scalings;
  if (k !== null && k < n) {
    const [one, other] = [unsqueeze(scalings, -1), unsqueeze(scalings, -2)]; // [b, t, n, 1], [b, t, 1, n]
    const isBefore = less(iota([n, n], 1), iota([n, n], 0));
    const isBetter = or(less(one, other), and(equal(one, other), isBefore));
    const better = sum(cast(isBetter, 'f32'), [-1]); // [b, t, n]
    left = where(less(better, k), scalings, 0);
  }
  if (!enableSoftmaxTopk) return left;
  const isThere = not(equal(left, 0));
  const largest = max(where(isThere, left, -3e38), [-1], { keepDims: true });
  const exponentials = where(isThere, exp(sub(left, largest)), 0);
  return div(exponentials, add(sum(exponentials, [-1], { keepDims: true }), 1e-30));
}
