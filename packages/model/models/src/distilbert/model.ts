import {
  type Context,
  type Embedding,
  LayerNorm,
  type Linear,
  Module,
  type Site,
  trainingDropout,
} from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { MultiHeadAttention, type PassInputs, PostNormBlock, type PostNormParts } from '@graftjs/transformer';
import { activations } from '../activations.ts';
import type { EncoderModel, PositionDetails, TextInputs } from '../architecture.ts';
import { BertEmbeddings } from '../bert/embeddings.ts';
import { dense } from '../encoder/encoder-with-head.ts';
import type { DistilBertConfig } from './config.ts';

/** Attention of every token to the whole text. */
export class DistilBertSelfAttention extends MultiHeadAttention {
  readonly q_lin: Linear;
  readonly k_lin: Linear;
  readonly v_lin: Linear;
  readonly out_lin: Linear;

  constructor({ heads, headDim, hiddenSize, attentionDropout }: DistilBertConfig, layerIndex: number) {
    super({ heads, kvHeads: heads, headDim, dropout: attentionDropout }, layerIndex, false);
    this.q_lin = dense(hiddenSize, hiddenSize);
    this.k_lin = dense(hiddenSize, hiddenSize);
    this.v_lin = dense(hiddenSize, hiddenSize);
    this.out_lin = dense(hiddenSize, hiddenSize);
  }

  /** x `[b, s, hidden]` -> `[b, s, hidden]`. */
  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const { heads } = this.heads;
    const [q, k, v] = [this.q_lin, this.k_lin, this.v_lin].map((layer) =>
      this.split(layer.forward(x, context), heads),
    );
    return this.out_lin.forward(this.attend(q!, k!, v!, pass, context), context);
  }
}

class DistilBertFeedForward extends Module {
  readonly lin1: Linear;
  readonly lin2: Linear;
  readonly #config: DistilBertConfig;

  constructor(config: DistilBertConfig) {
    super();
    this.lin1 = dense(config.hiddenSize, config.intermediateSize);
    this.lin2 = dense(config.intermediateSize, config.hiddenSize);
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    const { activation, hiddenDropout } = this.#config;
    const wide = activations[activation](this.lin1.forward(x, context));
    return trainingDropout(this.lin2.forward(wide, context), hiddenDropout, context, 'dropout');
  }
}

export class DistilBertBlock extends PostNormBlock {
  readonly attention: DistilBertSelfAttention;
  readonly sa_layer_norm: LayerNorm;
  readonly ffn: DistilBertFeedForward;
  readonly output_layer_norm: LayerNorm;

  constructor(config: DistilBertConfig, layerIndex: number) {
    super();
    this.attention = new DistilBertSelfAttention(config, layerIndex);
    this.sa_layer_norm = new LayerNorm(config.hiddenSize, config.normEps);
    this.ffn = new DistilBertFeedForward(config);
    this.output_layer_norm = new LayerNorm(config.hiddenSize, config.normEps);
  }

  get parts(): PostNormParts<PassInputs> {
    const { attention, ffn } = this;
    return {
      attention,
      attend: (x, pass, context) => attention.forward(x, pass, context),
      attentionNorm: this.sa_layer_norm,
      feed: (x, context) => ffn.forward(x, context),
      mlpNorm: this.output_layer_norm,
    };
  }
}

class DistilBertTransformer extends Module {
  readonly layer: DistilBertBlock[];

  constructor(config: DistilBertConfig) {
    super();
    this.layer = Array.from({ length: config.layers }, (_, i) => new DistilBertBlock(config, i));
  }
}

/** DistilBERT's encoder: BERT's without token types and pooler. Parameter names are Hugging Face's. */
export class DistilBertModel extends Module implements EncoderModel {
  readonly config: DistilBertConfig;
  readonly embeddings: BertEmbeddings;
  readonly transformer: DistilBertTransformer;

  constructor(config: DistilBertConfig) {
    super();
    this.config = config;
    this.embeddings = new BertEmbeddings(config);
    this.transformer = new DistilBertTransformer(config);
  }

  get inputEmbeddings(): Embedding {
    return this.embeddings.word_embeddings;
  }
  get positions(): Site<PositionDetails> {
    return this.embeddings.positions;
  }
  get embedded(): Site<PositionDetails> {
    return this.embeddings.embedded;
  }
  get blocks(): readonly DistilBertBlock[] {
    return this.transformer.layer;
  }

  /** @throws PositionsError, DropoutSeedError */
  hiddenStates(inputs: TextInputs, context: Context): Tensor {
    const pass = inputs.keyMask ? { keyMask: inputs.keyMask } : {};
    const embedded = this.embeddings.forward(inputs, context);
    return this.blocks.reduce((states, block) => block.forward(states, pass, context), embedded);
  }

  forward(inputs: TextInputs, context: Context): Tensor {
    return this.hiddenStates(inputs, context);
  }
}
