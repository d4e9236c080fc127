import { type Context, LayerNorm, Linear, trainingDropout } from '@graftjs/nn';
import { maximum, type Tensor } from '@graftjs/tensor';
import { activations } from '../activations.ts';
import type { MaskedLM } from '../architecture.ts';
import { dense, EncoderWithHead, firstToken, headOfTokens } from '../encoder/encoder-with-head.ts';
import type { DistilBertConfig } from './config.ts';
import { DistilBertModel } from './model.ts';

/** DistilBERT below a head. */
abstract class DistilBertWithHead extends EncoderWithHead<DistilBertModel> {
  readonly distilbert: DistilBertModel;

  constructor(config: DistilBertConfig) {
    super(config);
    this.distilbert = new DistilBertModel(config);
  }

  get body(): DistilBertModel {
    return this.distilbert;
  }
}

/** DistilBERT that says which token stands in the place of a masked one: logits `[b, s, vocabulary]`. */
export class DistilBertForMaskedLM extends DistilBertWithHead implements MaskedLM {
  readonly vocab_transform: Linear;
  readonly vocab_layer_norm: LayerNorm;
  readonly vocab_projector: Linear;

  constructor(config: DistilBertConfig) {
    super(config);
    const { hiddenSize, vocabSize, normEps, tieWordEmbeddings } = config;
    const { weight } = this.distilbert.embeddings.word_embeddings;
    this.vocab_transform = dense(hiddenSize, hiddenSize);
    this.vocab_layer_norm = new LayerNorm(hiddenSize, normEps);
    this.vocab_projector = new Linear(hiddenSize, vocabSize, {
      bias: true,
      ...(tieWordEmbeddings ? { weight } : {}),
    });
  }

  get outputEmbeddings(): Linear {
    return this.vocab_projector;
  }

  protected head(states: Tensor, context: Context): Tensor {
    const wide = activations[this.config.activation](this.vocab_transform.forward(states, context));
    return this.vocab_projector.forward(this.vocab_layer_norm.forward(wide), context);
  }
}

/** DistilBERT that sorts texts: logits `[b, classes]` from its first token. */
export class DistilBertForSequenceClassification extends DistilBertWithHead {
  readonly pre_classifier: Linear;
  readonly classifier: Linear;

  constructor(config: DistilBertConfig) {
    super(config);
    this.pre_classifier = dense(config.hiddenSize, config.hiddenSize);
    this.classifier = dense(config.hiddenSize, config.labels.length);
  }

  protected head(states: Tensor, context: Context): Tensor {
    const wide = maximum(this.pre_classifier.forward(firstToken(states), context), 0);
    const { classifierDropout } = this.config;
    return this.classifier.forward(
      trainingDropout(wide, classifierDropout, context, 'seq_classif_dropout'),
      context,
    );
  }
}

/** DistilBERT that sorts tokens: logits `[b, s, classes]`. */
export class DistilBertForTokenClassification extends DistilBertWithHead {
  readonly classifier: Linear;

  constructor(config: DistilBertConfig) {
    super(config);
    this.classifier = dense(config.hiddenSize, config.labels.length);
  }

  protected head(states: Tensor, context: Context): Tensor {
    return headOfTokens(this.classifier, states, this.config.hiddenDropout, context, 'dropout');
  }
}

/** DistilBERT that finds an answer: logits `[b, s, 2]` of where it begins and where it ends. */
export class DistilBertForQuestionAnswering extends DistilBertWithHead {
  readonly qa_outputs: Linear;

  constructor(config: DistilBertConfig) {
    super(config);
    this.qa_outputs = dense(config.hiddenSize, 2);
  }

  protected head(states: Tensor, context: Context): Tensor {
    return headOfTokens(this.qa_outputs, states, this.config.answerDropout, context, 'qa_dropout');
  }
}
