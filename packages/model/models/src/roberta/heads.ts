import { type Context, LayerNorm, Linear, Module, Parameter, trainingDropout } from '@graftjs/nn';
import { gelu } from '@graftjs/ops';
import { type Tensor, tanh } from '@graftjs/tensor';
import type { MaskedLM } from '../architecture.ts';
import type { BertConfig } from '../bert/config.ts';
import { BertModel } from '../bert/model.ts';
import { dense, EncoderWithHead, firstToken, headOfTokens } from '../encoder/encoder-with-head.ts';

/** RoBERTa below a head. */
abstract class RobertaWithHead extends EncoderWithHead<BertModel> {
  readonly roberta: BertModel;

  constructor(config: BertConfig) {
    super(config);
    this.roberta = new BertModel(config, { pooler: false });
  }

  get body(): BertModel {
    return this.roberta;
  }
}

class RobertaLMHead extends Module {
  readonly dense: Linear;
  readonly layer_norm: LayerNorm;
  readonly decoder: Linear;
  readonly bias: Parameter;

  constructor({ hiddenSize, vocabSize, normEps, tieWordEmbeddings }: BertConfig, embeddings: Parameter) {
    super();
    this.dense = dense(hiddenSize, hiddenSize);
    this.layer_norm = new LayerNorm(hiddenSize, normEps);
    this.bias = new Parameter([vocabSize], undefined, { name: 'bias' });
    const tied = { weight: embeddings, bias: this.bias };
    this.decoder = new Linear(hiddenSize, vocabSize, tieWordEmbeddings ? tied : { bias: true });
  }

  forward(states: Tensor, context: Context): Tensor {
    return this.decoder.forward(this.layer_norm.forward(gelu(this.dense.forward(states, context))), context);
  }
}

/** RoBERTa that says which token stands in the place of a masked one: logits `[b, s, vocabulary]`. */
export class RobertaForMaskedLM extends RobertaWithHead implements MaskedLM {
  readonly lm_head: RobertaLMHead;

  constructor(config: BertConfig) {
    super(config);
    this.lm_head = new RobertaLMHead(config, this.roberta.embeddings.word_embeddings.weight);
  }

  get outputEmbeddings(): Linear {
    return this.lm_head.decoder;
  }

  protected head(states: Tensor, context: Context): Tensor {
    return this.lm_head.forward(states, context);
  }
}

class RobertaClassificationHead extends Module {
  readonly dense: Linear;
  readonly out_proj: Linear;
  readonly #dropout: number;

  constructor({ hiddenSize, labels, classifierDropout }: BertConfig) {
    super();
    this.dense = dense(hiddenSize, hiddenSize);
    this.out_proj = dense(hiddenSize, labels.length);
    this.#dropout = classifierDropout;
  }

  forward(states: Tensor, context: Context): Tensor {
    const drop = (x: Tensor): Tensor => trainingDropout(x, this.#dropout, context, 'classifier_dropout');
    const wide = tanh(this.dense.forward(drop(firstToken(states)), context));
    return this.out_proj.forward(drop(wide), context);
  }
}

/** RoBERTa that sorts texts: logits `[b, classes]` from its first token. */
export class RobertaForSequenceClassification extends RobertaWithHead {
  readonly classifier: RobertaClassificationHead;

  constructor(config: BertConfig) {
    super(config);
    this.classifier = new RobertaClassificationHead(config);
  }

  protected head(states: Tensor, context: Context): Tensor {
    return this.classifier.forward(states, context);
  }
}

/** RoBERTa that sorts tokens: logits `[b, s, classes]`. */
export class RobertaForTokenClassification extends RobertaWithHead {
  readonly classifier: Linear;

  constructor(config: BertConfig) {
    super(config);
    this.classifier = dense(config.hiddenSize, config.labels.length);
  }

  protected head(states: Tensor, context: Context): Tensor {
    const { classifierDropout } = this.config;
    return headOfTokens(this.classifier, states, classifierDropout, context, 'classifier_dropout');
  }
}

/** RoBERTa that finds an answer: logits `[b, s, 2]` of where it begins and where it ends. */
export class RobertaForQuestionAnswering extends RobertaWithHead {
  readonly qa_outputs: Linear;

  constructor(config: BertConfig) {
    super(config);
    this.qa_outputs = dense(config.hiddenSize, 2);
  }

  protected head(states: Tensor, context: Context): Tensor {
    return this.qa_outputs.forward(states, context);
  }
}
