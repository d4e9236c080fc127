/**
 * A bottleneck adapter (Houlsby et al., 2019, arXiv:1902.00751): a small network with a skip connection of its own,
 *
 *     A(x) = s · U f(D x + d) + u,     D [m, hidden], d [m], U [hidden, m], u [hidden]: 2 m hidden + m + hidden numbers
 *
 * after a sub-layer's projection and before the block's skip connection:
 *
 *     sequential:  h ← h + A(h)      (h is first completed to h + r where `original_ln_before` is set)
 *     parallel:    h ← h + A(r)      r: what the block's skip connection carries
 *
 * Source of the options' meaning: `adapters/methods/modeling.py` of AdapterHub.
 */

import {
  type Context,
  type HostRandom,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import { gelu, geluTanh, layerNorm } from '@graftjs/ops';
import {
  add,
  less,
  linear,
  maximum,
  mean,
  mul,
  sigmoid,
  silu,
  sub,
  type Tensor,
  tanh,
  where,
} from '@graftjs/tensor';
import type { BottleneckConfig, NonLinearity } from './config.ts';

const activations: Readonly<Record<NonLinearity, (x: Tensor) => Tensor>> = {
  relu: (x) => maximum(x, 0),
  gelu,
  gelu_new: geluTanh,
  silu,
  swish: silu,
  tanh,
  sigmoid,
  leakyrelu: (x) => where(less(x, 0), mul(x, 0.01), x),
};

/** PyTorch's default. */
const normEps = 1e-5;

/** What a sub-layer hands to the adapter behind it. */
export interface Sublayer {
  /** Its output, `[b, t, hidden]`. */
  readonly output: Tensor;
  /** What the block's skip connection carries past it. */
  readonly residual: Tensor;
  readonly context: Context;
}

/** An adapter behind one sub-layer. */
export class BottleneckAdapter {
  /** By AdapterHub's names below the adapter. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly #config: BottleneckConfig;
  readonly #path: string;

  /** @param units m */
  constructor(path: string, hidden: number, units: number, config: BottleneckConfig, random: HostRandom) {
    this.#config = config;
    this.#path = path;
    const parameter = (name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter =>
      new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
    const ones = (): Float32Array<ArrayBuffer> => new Float32Array(hidden).fill(1);
    const { initWeights, lnBefore, lnAfter, useGating, scaling } = config;
    const gateDeviation = 0.02;
    const norm = (name: string): Record<string, Parameter> => ({
      [`${name}.weight`]: parameter(`${name}.weight`, [hidden], ones()),
      [`${name}.bias`]: parameter(`${name}.bias`, [hidden]),
    });
    this.parameters = {
      ...(lnBefore ? norm('adapter_norm_before') : {}),
      [this.#down]: parameter(
        this.#down,
        [units, hidden],
        initial(initWeights, 'down', units, hidden, random),
      ),
      [this.#down.replace('weight', 'bias')]: parameter('adapter_down.bias', [units]),
      'adapter_up.weight': parameter(
        'adapter_up',
        [hidden, units],
        initial(initWeights, 'up', hidden, units, random),
      ),
      'adapter_up.bias': parameter('adapter_up.bias', [hidden]),
      ...(scaling === 'learned' ? { scaling: parameter('scaling', [1], Float32Array.of(1)) } : {}),
      ...(scaling === 'channel' ? { scaling: parameter('scaling', [hidden], ones()) } : {}),
      ...(lnAfter ? norm('adapter_norm_after') : {}),
      ...(useGating
        ? {
            'gate.weight': parameter('gate', [1, hidden], normalArray(hidden, gateDeviation, random)),
            'gate.bias': parameter('gate.bias', [1]),
          }
        : {}),
    };
  }

  /** The sub-layer's output as the block's skip connection takes it. */
  forward({ output, residual, context }: Sublayer): Tensor {
    const { isParallel, originalLnBefore, originalLnAfter, residualBeforeLn } = this.#config;
    if (isParallel) return add(output, this.#changed(residual, undefined, context));
    const input = originalLnBefore ? add(output, residual) : output;
    const own = residualBeforeLn === true ? output : input;
    const changed = this.#changed(input, own, context);
    // the block adds the residual, also where the adapter alone should
    return originalLnAfter ? changed : sub(changed, residual);
  }

  /** A(x), with the adapter's skip connection where it has one. */
  #changed(x: Tensor, skip: Tensor | undefined, context: Context): Tensor {
    const { nonLinearity, dropout, adapterResidualBeforeLn, lnAfter, lnBefore, useGating } = this.#config;
    const start = lnBefore ? this.#norm('adapter_norm_before', x) : x;
    const down = activations[nonLinearity](this.#linear(this.#down, start));
    let out = this.#scaled(this.#linear('adapter_up.weight', down));
    out = trainingDropout(out, dropout, context, `${this.#path}: dropout`);
    // one number for each text: the mean over its tokens
    if (useGating) out = mul(out, mean(sigmoid(this.#linear('gate.weight', x)), [1], { keepDims: true }));
    if (skip && adapterResidualBeforeLn) out = add(out, skip);
    if (lnAfter) out = this.#norm('adapter_norm_after', out);
    return skip && !adapterResidualBeforeLn ? add(out, skip) : out;
  }

  #scaled(x: Tensor): Tensor {
    const { scaling } = this.#config;
    if (typeof scaling === 'number') return scaling === 1 ? x : mul(x, scaling);
    return mul(x, this.parameters.scaling!);
  }

  #linear(weight: string, x: Tensor): Tensor {
    const { parameters } = this;
    return linear(x, parameters[weight]!, parameters[weight.replace('weight', 'bias')]!);
  }

  #norm(name: string, x: Tensor): Tensor {
    const { [`${name}.weight`]: weight, [`${name}.bias`]: bias } = this.parameters;
    return layerNorm(x, { weight: weight!, bias: bias!, eps: normEps });
  }

  /** The first projection's place among the modules of AdapterHub's `adapter_down`. */
  get #down(): string {
    return `adapter_down.${this.#config.lnBefore ? 1 : 0}.weight`;
  }
}

function initial(
  kind: BottleneckConfig['initWeights'],
  side: 'down' | 'up',
  rows: number,
  columns: number,
  random: HostRandom,
): Float32Array<ArrayBuffer> | undefined {
  const size = rows * columns;
  switch (kind) {
    case 'bert':
      return normalArray(size, 0.02, random);
    case 'houlsby':
      return truncatedNormalArray(size, 0.01, random);
    case 'mam_adapter':
      // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√in.
      return side === 'down' ? uniformArray(size, 1 / Math.sqrt(columns), random) : undefined;
    default:
      return kind satisfies never;
  }
}

/** Normal, drawn again beyond two deviations. */
function truncatedNormalArray(
  size: number,
  deviation: number,
  random: HostRandom,
): Float32Array<ArrayBuffer> {
  const kept = new Float32Array(size);
  for (let n = 0; n < size; ) {
    const drawn = normalArray(size, deviation, random);
    for (let i = 0; i < size && n < size; i++)
      if (Math.abs(drawn[i]!) <= 2 * deviation) kept[n++] = drawn[i]!;
  }
  return kept;
}
