import { type Context, type Embedding, type Linear, Module, type Site } from '@graftjs/nn';
import { type Tensor, tanh } from '@graftjs/tensor';
import type { EncoderModel, PositionDetails, TextInputs } from '../architecture.ts';
import { dense, firstToken } from '../encoder/encoder-with-head.ts';
import { BertLayer } from './block.ts';
import type { BertConfig } from './config.ts';
import { BertEmbeddings } from './embeddings.ts';

export class BertEncoder extends Module {
  readonly layer: BertLayer[];

  constructor(config: BertConfig) {
    super();
    this.layer = Array.from({ length: config.layers }, (_, i) => new BertLayer(config, i));
  }
}

/** tanh(W h + b) of the first token. */
export class BertPooler extends Module {
  readonly dense: Linear;

  constructor(hiddenSize: number) {
    super();
    this.dense = dense(hiddenSize, hiddenSize);
  }

  /** States `[b, s, hidden]` -> `[b, hidden]`. */
  forward(states: Tensor, context: Context): Tensor {
    return tanh(this.dense.forward(firstToken(states), context));
  }
}

/** The encoder of BERT and RoBERTa. Parameter names are Hugging Face's. */
export class BertModel extends Module implements EncoderModel {
  readonly config: BertConfig;
  readonly embeddings: BertEmbeddings;
  readonly encoder: BertEncoder;
  readonly pooler?: BertPooler;

  constructor(config: BertConfig, options: { readonly pooler: boolean }) {
    super();
    this.config = config;
    this.embeddings = new BertEmbeddings(config);
    this.encoder = new BertEncoder(config);
    if (options.pooler) this.pooler = new BertPooler(config.hiddenSize);
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
  get blocks(): readonly BertLayer[] {
    return this.encoder.layer;
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
