import { type Context, Embedding, Linear, Module, RmsNorm, trainingDropout } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import {
  CrossAttention,
  type CrossInputs,
  type KeysAndValues,
  MultiHeadAttention,
  type PassInputs,
} from '@graftjs/transformer';
import type { T5Config } from './config.ts';

/** Scores are not scaled: the initial weights of the queries are smaller instead. */
const headsOf = ({ heads, headDim, dropout }: T5Config) => ({
  heads,
  kvHeads: heads,
  headDim,
  scale: 1,
  dropout,
});

const projection = ({ hiddenSize, heads, headDim }: T5Config): Linear =>
  new Linear(hiddenSize, heads * headDim);

/** Self-attention without biases. The first layer of a stack has the table of its biases by relative position. */
export class T5SelfAttention extends MultiHeadAttention {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly relative_attention_bias?: Embedding;
  readonly #dropout: number;

  constructor(config: T5Config, layerIndex: number, causal: boolean) {
    super(headsOf(config), layerIndex, causal);
    this.q = projection(config);
    this.k = projection(config);
    this.v = projection(config);
    this.o = new Linear(config.heads * config.headDim, config.hiddenSize);
    if (layerIndex === 0) this.relative_attention_bias = new Embedding(config.relativeBuckets, config.heads);
    this.#dropout = config.dropout;
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const [q, k, v] = [this.q, this.k, this.v].map((projected) =>
      this.split(projected.forward(x, context), this.heads.heads),
    );
    const mixed = this.o.forward(this.attend(q!, k!, v!, pass, context), context);
    return trainingDropout(mixed, this.#dropout, context, 'dropout_rate');
  }
}

/** The decoder's attention to the encoder's states. */
export class T5CrossAttention extends CrossAttention {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly #dropout: number;

  constructor(config: T5Config, layerIndex: number) {
    super(headsOf(config), layerIndex);
    this.q = projection(config);
    this.k = projection(config);
    this.v = projection(config);
    this.o = new Linear(config.heads * config.headDim, config.hiddenSize);
    this.#dropout = config.dropout;
  }

  keysAndValues(states: Tensor, context: Context): KeysAndValues {
    const [k, v] = [this.k, this.v].map((projected) =>
      this.split(projected.forward(states, context), this.heads.kvHeads),
    );
    return this.attached(k!, v!, context);
  }

  forward(x: Tensor, { encoded }: CrossInputs, context: Context): Tensor {
    const q = this.split(this.q.forward(x, context), this.heads.heads);
    const mixed = this.o.forward(this.attendTo(encoded, q, context), context);
    return trainingDropout(mixed, this.#dropout, context, 'dropout_rate');
  }
}

export class T5LayerSelfAttention extends Module {
  readonly SelfAttention: T5SelfAttention;
  readonly layer_norm: RmsNorm;

  constructor(config: T5Config, layerIndex: number, causal: boolean) {
    super();
    this.SelfAttention = new T5SelfAttention(config, layerIndex, causal);
    this.layer_norm = new RmsNorm(config.hiddenSize, config.normEps);
  }
}

export class T5LayerCrossAttention extends Module {
  readonly EncDecAttention: T5CrossAttention;
  readonly layer_norm: RmsNorm;

  constructor(config: T5Config, layerIndex: number) {
    super();
    this.EncDecAttention = new T5CrossAttention(config, layerIndex);
    this.layer_norm = new RmsNorm(config.hiddenSize, config.normEps);
  }
}
