import { type Context, Linear, Module, RmsNorm, trainingDropout } from '@graftjs/nn';
import { mul, type Tensor } from '@graftjs/tensor';
import { activations } from '../activations.ts';
import type { T5Config } from './config.ts';

/** `wo(dropout(act(wi x)))` */
export class T5DenseActDense extends Module {
  readonly wi: Linear;
  readonly wo: Linear;
  readonly #config: T5Config;

  constructor(config: T5Config) {
    super();
    this.wi = new Linear(config.hiddenSize, config.intermediateSize);
    this.wo = new Linear(config.intermediateSize, config.hiddenSize);
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    const { activation, dropout } = this.#config;
    return outOf(this.wo, activations[activation](this.wi.forward(x, context)), dropout, context);
  }
}

/** `wo(dropout(act(wi_0 x) * wi_1 x))` (Shazeer, 2020) */
export class T5DenseGatedActDense extends Module {
  readonly wi_0: Linear;
  readonly wi_1: Linear;
  readonly wo: Linear;
  readonly #config: T5Config;

  constructor(config: T5Config) {
    super();
    this.wi_0 = new Linear(config.hiddenSize, config.intermediateSize);
    this.wi_1 = new Linear(config.hiddenSize, config.intermediateSize);
    this.wo = new Linear(config.intermediateSize, config.hiddenSize);
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    const { activation, dropout } = this.#config;
    const gate = activations[activation](this.wi_0.forward(x, context));
    return outOf(this.wo, mul(gate, this.wi_1.forward(x, context)), dropout, context);
  }
}

/** Out of the wide layer: dropout before and behind its last projection. */
function outOf(wo: Linear, wide: Tensor, dropout: number, context: Context): Tensor {
  const out = wo.forward(trainingDropout(wide, dropout, context, 'dropout_rate'), context);
  return trainingDropout(out, dropout, context, 'dropout_rate');
}

export class T5LayerFF extends Module {
  readonly DenseReluDense: T5DenseActDense | T5DenseGatedActDense;
  readonly layer_norm: RmsNorm;

  constructor(config: T5Config) {
    super();
    this.DenseReluDense = config.isGated ? new T5DenseGatedActDense(config) : new T5DenseActDense(config);
    this.layer_norm = new RmsNorm(config.hiddenSize, config.normEps);
  }
}
