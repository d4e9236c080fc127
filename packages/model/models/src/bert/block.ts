import { type Context, LayerNorm, type Linear, Module, trainingDropout } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { MultiHeadAttention, type PassInputs, PostNormBlock, type PostNormParts } from '@graftjs/transformer';
import { activations } from '../activations.ts';
import { dense } from '../encoder/encoder-with-head.ts';
import type { BertConfig } from './config.ts';

/** Attention of every token to the whole text, without its output projection. */
export class BertSelfAttention extends MultiHeadAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;

  constructor({ heads, headDim, hiddenSize, attentionDropout }: BertConfig, layerIndex: number) {
    super({ heads, kvHeads: heads, headDim, dropout: attentionDropout }, layerIndex, false);
    this.query = dense(hiddenSize, hiddenSize);
    this.key = dense(hiddenSize, hiddenSize);
    this.value = dense(hiddenSize, hiddenSize);
  }

  /** x `[b, s, hidden]` -> `[b, s, hidden]`. */
  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const { heads } = this.heads;
    const [q, k, v] = [this.query, this.key, this.value].map((layer) =>
      this.split(layer.forward(x, context), heads),
    );
    return this.attend(q!, k!, v!, pass, context);
  }
}

/** The end of a sub-layer: a projection, and the norm after the skip connection. */
export class BertSublayerOutput extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  readonly #dropout: number;

  constructor(inFeatures: number, { hiddenSize, normEps, hiddenDropout }: BertConfig) {
    super();
    this.dense = dense(inFeatures, hiddenSize);
    this.LayerNorm = new LayerNorm(hiddenSize, normEps);
    this.#dropout = hiddenDropout;
  }

  /** Without the norm. */
  project(x: Tensor, context: Context): Tensor {
    return trainingDropout(this.dense.forward(x, context), this.#dropout, context, 'hidden_dropout_prob');
  }
}

export class BertAttention extends Module {
  readonly self: BertSelfAttention;
  readonly output: BertSublayerOutput;

  constructor(config: BertConfig, layerIndex: number) {
    super();
    this.self = new BertSelfAttention(config, layerIndex);
    this.output = new BertSublayerOutput(config.hiddenSize, config);
  }
}

export class BertIntermediate extends Module {
  readonly dense: Linear;
  readonly #config: BertConfig;

  constructor(config: BertConfig) {
    super();
    this.dense = dense(config.hiddenSize, config.intermediateSize);
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    return activations[this.#config.activation](this.dense.forward(x, context));
  }
}

export class BertLayer extends PostNormBlock {
  readonly attention: BertAttention;
  readonly intermediate: BertIntermediate;
  readonly output: BertSublayerOutput;

  constructor(config: BertConfig, layerIndex: number) {
    super();
    this.attention = new BertAttention(config, layerIndex);
    this.intermediate = new BertIntermediate(config);
    this.output = new BertSublayerOutput(config.intermediateSize, config);
  }

  get parts(): PostNormParts<PassInputs> {
    const { attention, intermediate, output } = this;
    return {
      attention: attention.self,
      attend: (x, pass, context) =>
        attention.output.project(attention.self.forward(x, pass, context), context),
      attentionNorm: attention.output.LayerNorm,
      feed: (x, context) => output.project(intermediate.forward(x, context), context),
      mlpNorm: output.LayerNorm,
    };
  }
}
