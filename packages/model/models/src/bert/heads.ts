import { type Context, LayerNorm, Linear, Module, Parameter, trainingDropout } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { activations } from '../activations.ts';
import type { MaskedLM } from '../architecture.ts';
import { dense, EncoderWithHead, headOfTokens } from '../encoder/encoder-with-head.ts';
import type { BertConfig } from './config.ts';
import { BertModel } from './model.ts';

/** BERT below a head. */
abstract class BertWithHead extends EncoderWithHead<BertModel> {
  readonly bert: BertModel;

  constructor(config: BertConfig, pooler: boolean) {
    super(config);
    this.bert = new BertModel(config, { pooler });
  }

  get body(): BertModel {
    return this.bert;
  }
}

class BertPredictionHeadTransform extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  readonly #config: BertConfig;

  constructor(config: BertConfig) {
    super();
    this.#config = config;
    this.dense = dense(config.hiddenSize, config.hiddenSize);
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.normEps);
  }

  forward(states: Tensor, context: Context): Tensor {
    return this.LayerNorm.forward(activations[this.#config.activation](this.dense.forward(states, context)));
  }
}

class BertLMPredictionHead extends Module {
  readonly transform: BertPredictionHeadTransform;
  readonly decoder: Linear;
  readonly bias: Parameter;

  constructor(config: BertConfig, embeddings: Parameter) {
    super();
    const { vocabSize, hiddenSize, tieWordEmbeddings } = config;
    this.transform = new BertPredictionHeadTransform(config);
    this.bias = new Parameter([vocabSize], undefined, { name: 'bias' });
    const tied = { weight: embeddings, bias: this.bias };
    this.decoder = new Linear(hiddenSize, vocabSize, tieWordEmbeddings ? tied : { bias: true });
  }
}

class BertOnlyMLMHead extends Module {
  readonly predictions: BertLMPredictionHead;

  constructor(config: BertConfig, embeddings: Parameter) {
    super();
    this.predictions = new BertLMPredictionHead(config, embeddings);
  }
}

/** BERT that says which token stands in the place of a masked one: logits `[b, s, vocabulary]`. */
export class BertForMaskedLM extends BertWithHead implements MaskedLM {
  readonly cls: BertOnlyMLMHead;

  constructor(config: BertConfig) {
    super(config, false);
    this.cls = new BertOnlyMLMHead(config, this.bert.embeddings.word_embeddings.weight);
  }

  get outputEmbeddings(): Linear {
    return this.cls.predictions.decoder;
  }

  protected head(states: Tensor, context: Context): Tensor {
    const { transform, decoder } = this.cls.predictions;
    return decoder.forward(transform.forward(states, context), context);
  }
}

/** BERT that sorts texts: logits `[b, classes]` from its pooled first token. */
export class BertForSequenceClassification extends BertWithHead {
  readonly classifier: Linear;

  constructor(config: BertConfig) {
    super(config, true);
    this.classifier = dense(config.hiddenSize, config.labels.length);
  }

  protected head(states: Tensor, context: Context): Tensor {
    const pooled = this.bert.pooler!.forward(states, context);
    const { classifierDropout } = this.config;
    return this.classifier.forward(
      trainingDropout(pooled, classifierDropout, context, 'classifier_dropout'),
      context,
    );
  }
}

/** BERT that sorts tokens: logits `[b, s, classes]`. */
export class BertForTokenClassification extends BertWithHead {
  readonly classifier: Linear;

  constructor(config: BertConfig) {
    super(config, false);
    this.classifier = dense(config.hiddenSize, config.labels.length);
  }

  protected head(states: Tensor, context: Context): Tensor {
    const { classifierDropout } = this.config;
    return headOfTokens(this.classifier, states, classifierDropout, context, 'classifier_dropout');
  }
}

/** BERT that finds an answer: logits `[b, s, 2]` of where it begins and where it ends. */
export class BertForQuestionAnswering extends BertWithHead {
  readonly qa_outputs: Linear;

  constructor(config: BertConfig) {
    super(config, false);
    this.qa_outputs = dense(config.hiddenSize, 2);
  }

  protected head(states: Tensor, context: Context): Tensor {
    return this.qa_outputs.forward(states, context);
  }
}
