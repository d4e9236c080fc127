/**
 * A bottleneck adapter (Houlsby et al., 2019, arXiv:1902.00751): a small network with a skip connection of its own,
 *
 *     A(x) = s (U f(D x + d) + u),     D [m, hidden], d [m], U [hidden, m], u [hidden]: 2 m hidden + m + hidden numbers
 *
 * after a sub-layer's projection and before the block's skip connection:
 *
 *     sequential:  h ← h + A(h)      (h is first completed to h + r where `original_ln_before` is set)
 *     parallel:    h ← h + A(r)      r: what the block's skip connection carries
 *
 * Source of the options' meaning: `adapters/methods/modeling.py` of AdapterHub.
 */

import { type Context, type HostRandom, normalArray, Parameter, trainingDropout } from '@graftjs/nn';
import { layerNorm } from '@graftjs/ops';
import { activations } from '@graftjs/peft';
import { add, less, linear, mean, mul, ones, sigmoid, sub, type Tensor, where } from '@graftjs/tensor';
import { compacterProjection } from './compacter.ts';
import type { BottleneckConfig } from './config.ts';
import { denseProjection, type Projection, type ProjectionShape } from './projection.ts';

/** PyTorch's default. */
const normEps = 1e-5;

/** What a sub-layer hands to the adapter behind it. */
export interface Sublayer {
  /** Its output, `[b, t, hidden]`. */
  readonly output: Tensor;
  /** What the block's skip connection carries past it. */
  readonly residual: Tensor;
  /** The block's norm after the skip connection, in blocks that normalise there. */
  readonly norm?: ((x: Tensor) => Tensor) | undefined;
  readonly context: Context;
}

/** What an adapter does with its input before and beside its own network. */
export interface AdapterInput {
  /** x: what the network is given. */
  readonly input: Tensor;
  /** What the adapter's own skip connection carries; a parallel adapter's carries the sub-layer's output. */
  readonly skip: Tensor;
  /** What fusion asks with. */
  readonly query: Tensor;
}

export interface AdapterOptions {
  readonly hidden: number;
  /** m */
  readonly units: number;
  readonly config: BottleneckConfig;
  /** What Compacter's projections share. */
  readonly shared: Readonly<Record<string, Parameter>>;
}

/** An adapter behind one sub-layer. */
export class BottleneckAdapter {
  /** What is trained, by AdapterHub's names below the adapter. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** What is saved with them and never trained. */
  readonly buffers: Readonly<Record<string, Parameter>>;
  readonly config: BottleneckConfig;
  readonly #path: string;
  readonly #down: Projection;
  readonly #up: Projection;

  constructor(path: string, { hidden, units, config, shared }: AdapterOptions, random: HostRandom) {
    this.config = config;
    this.#path = path;
    const filled = (size: number): Parameter => new Parameter([size], new Float32Array(size).fill(1));
    const { lnBefore, lnAfter, useGating, scaling, nonLinearity } = config;
    const norm = (name: string): Record<string, Parameter> => ({
      [`${name}.weight`]: filled(hidden),
      [`${name}.bias`]: new Parameter([hidden]),
    });
    const project = (shape: ProjectionShape): Projection =>
      config.phmLayer
        ? compacterProjection(shape, config, shared, random)
        : denseProjection(shape, config.initWeights, random);
    this.#down = project({ side: 'down', inFeatures: hidden, outFeatures: units });
    this.#up = project({ side: 'up', inFeatures: units, outFeatures: hidden });
    // The first projection's place among the modules of AdapterHub's `adapter_down`.
    const [down, up] = [`adapter_down.${lnBefore ? 1 : 0}.`, 'adapter_up.'];
    this.parameters = {
      ...(lnBefore ? norm('adapter_norm_before') : {}),
      ...(nonLinearity === 'prelu'
        ? { 'non_linearity.f.weight': new Parameter([1], Float32Array.of(0.25)) }
        : {}),
      ...prefixed(down, this.#down.parameters),
      ...prefixed(up, this.#up.parameters),
      ...(scaling === 'learned' ? { scaling: filled(1) } : {}),
      ...(scaling === 'channel' ? { scaling: filled(hidden) } : {}),
      ...(lnAfter ? norm('adapter_norm_after') : {}),
      ...(useGating
        ? {
            'gate.weight': new Parameter([1, hidden], normalArray(hidden, 0.02, random)),
            'gate.bias': new Parameter([1]),
          }
        : {}),
    };
    this.buffers = { ...prefixed(down, this.#down.buffers), ...prefixed(up, this.#up.buffers) };
    for (const parameter of Object.values({ ...this.parameters, ...this.buffers }))
      parameter.trainable = false;
  }

  /** The sub-layer's output as the block's skip connection takes it. */
  forward(sublayer: Sublayer): Tensor {
    const { input, skip } = this.before(sublayer);
    const { adapterResidualBeforeLn, isParallel } = this.config;
    const inside = adapterResidualBeforeLn && !isParallel;
    const changed = this.#normed(
      this.#dropped(this.up(input, sublayer.context), input, sublayer.context),
      inside ? skip : undefined,
    );
    return this.after(inside ? changed : add(changed, skip), sublayer);
  }

  /** Where the adapter's network starts. */
  before({ output, residual, norm }: Sublayer, queryBeforeLn = false): AdapterInput {
    const { isParallel, originalLnBefore, residualBeforeLn } = this.config;
    if (isParallel) return { input: residual, skip: output, query: residual };
    const sum = originalLnBefore ? add(output, residual) : output;
    const input = originalLnBefore && norm ? norm(sum) : sum;
    const skip = residualBeforeLn === true ? output : residualBeforeLn === 'post_add' ? sum : input;
    return { input, skip, query: queryBeforeLn ? output : input };
  }

  /** s (U f(D x + d) + u), for x with the adapter's own norm before it where it has one. */
  up(input: Tensor, context: Context): Tensor {
    const { lnBefore, stochasticDepth } = this.config;
    const start = lnBefore ? this.#norm('adapter_norm_before', input) : input;
    const up = this.#up.apply(this.#activation(this.#down.apply(start)));
    const kept = trainingDropout(
      ones([input.shape[0]!, 1, 1]),
      stochasticDepth,
      context,
      `${this.#path}: stochastic_depth`,
    );
    return this.#scaled(stochasticDepth > 0 ? mul(up, kept) : up);
  }

  /** What goes to the block, which adds the residual (and normalises), also where the adapter alone should. */
  after(changed: Tensor, { residual }: Sublayer): Tensor {
    return this.config.originalLnAfter ? changed : sub(changed, residual);
  }

  #activation(x: Tensor): Tensor {
    const { nonLinearity } = this.config;
    if (nonLinearity !== 'prelu') return activations[nonLinearity](x);
    return where(less(x, 0), mul(x, this.parameters['non_linearity.f.weight']!), x);
  }

  /** Dropout, and the gate: one number for each text, the mean over its tokens. */
  #dropped(up: Tensor, input: Tensor, context: Context): Tensor {
    const out = trainingDropout(up, this.config.dropout, context, `${this.#path}: dropout`);
    if (!this.config.useGating) return out;
    const { 'gate.weight': weight, 'gate.bias': bias } = this.parameters;
    return mul(out, mean(sigmoid(linear(input, weight!, bias!)), [1], { keepDims: true }));
  }

  #normed(x: Tensor, skip: Tensor | undefined): Tensor {
    const sum = skip ? add(x, skip) : x;
    return this.config.lnAfter ? this.#norm('adapter_norm_after', sum) : sum;
  }

  #scaled(x: Tensor): Tensor {
    const { scaling } = this.config;
    if (typeof scaling === 'number') return scaling === 1 ? x : mul(x, scaling);
    return mul(x, this.parameters.scaling!);
  }

  #norm(name: string, x: Tensor): Tensor {
    const { [`${name}.weight`]: weight, [`${name}.bias`]: bias } = this.parameters;
    return layerNorm(x, { weight: weight!, bias: bias!, eps: normEps });
  }
}

const prefixed = (
  prefix: string,
  parameters: Readonly<Record<string, Parameter>>,
): Record<string, Parameter> =>
  Object.fromEntries(Object.entries(parameters).map(([name, p]) => [prefix + name, p]));
