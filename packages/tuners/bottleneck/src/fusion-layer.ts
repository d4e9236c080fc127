/**
 * AdapterFusion (Pfeiffer et al., 2020, arXiv:2005.00247): attention of a sub-layer's hidden states to what several
 * adapters behind it give, zᵢ = s (U f(D x + d) + u) of adapter i,
 *
 *     h + Σᵢ pᵢ V zᵢ,    p = softmaxᵢ(q · kᵢ),    q = Q x + a,    kᵢ = K zᵢ + c,    Q, K, V [hidden, hidden]
 *
 * for each token, h the adapters' skip connection. A projection that the config leaves out is the identity.
 *
 * Source of the options' meaning: `BertFusion` in `adapters/methods/modeling.py` of AdapterHub.
 */
import { type HostRandom, normalArray, Parameter, trainingDropout } from '@graftjs/nn';
import { softmax } from '@graftjs/ops';
import { add, concat, linear, mul, narrow, sum, type Tensor } from '@graftjs/tensor';
import type { BottleneckAdapter, Sublayer } from './adapter.ts';
import type { AdapterFusionConfig } from './fusion-config.ts';

export class FusionLayer {
  /** By AdapterHub's names below the layer. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly #config: AdapterFusionConfig;
  readonly #where: string;

  constructor(where: string, hidden: number, config: AdapterFusionConfig, random: HostRandom) {
    this.#config = config;
    this.#where = where;
    const projection = (name: string): Record<string, Parameter> => ({
      [`${name}.weight`]: new Parameter([hidden, hidden], normalArray(hidden ** 2, 0.02, random)),
      [`${name}.bias`]: new Parameter([hidden]),
    });
    this.parameters = {
      ...(config.query ? projection('query') : {}),
      ...(config.key ? projection('key') : {}),
      ...(config.value
        ? {
            'value.weight': new Parameter(
              [hidden, hidden],
              config.valueInitialized ? nearIdentity(hidden) : normalArray(hidden ** 2, 0.02, random),
            ),
          }
        : {}),
    };
  }

  /** What the block goes on with. The last adapter's config says what enters, and what happens after. */
  forward(adapters: readonly BottleneckAdapter[], sublayer: Sublayer): Tensor {
    const { queryBeforeLn, residualBefore, dropoutProb } = this.#config;
    const last = adapters.at(-1)!;
    const { input, skip, query } = last.before(sublayer, queryBeforeLn);
    const given = adapters.map((adapter) => adapter.up(input, sublayer.context)); // each [b, t, hidden]
    const values = residualBefore ? given.map((z) => add(z, skip)) : given;
    const q = this.#project('query', query);
    const scores = concat(
      // What AdapterHub adds to values, it adds to keys, which are the same tensor there.
      values.map((z) => sum(mul(q, this.#project('key', z)), [-1], { keepDims: true })),
      -1,
    ); // [b, t, adapters]
    const kept = trainingDropout(scores, dropoutProb ?? 0, sublayer.context, `${this.#where}: dropout_prob`);
    const p = softmax(kept, -1);
    const mixed = values.map((z, i) => mul(z, narrow(p, -1, i, 1))).reduce((a, b) => add(a, b));
    const projected = this.#project('value', mixed);
    return last.after(residualBefore ? projected : add(projected, skip), sublayer);
  }

  #project(name: string, x: Tensor): Tensor {
    const { [`${name}.weight`]: weight, [`${name}.bias`]: bias } = this.parameters;
    return weight ? linear(x, weight, bias) : x;
  }
}

/** AdapterHub's start of V: 1 on the diagonal, 10⁻⁶ beside it. */
function nearIdentity(size: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(size * size).fill(1e-6);
  for (let i = 0; i < size; i++) values[i * size + i] = 1;
  return values;
}
