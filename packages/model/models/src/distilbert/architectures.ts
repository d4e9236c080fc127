import type { Architecture } from '../architecture.ts';
import type { EncoderFamily } from '../encoder/family.ts';
import { checkSpanLabels } from '../encoder/labels.ts';
import { type DistilBertConfig, parseDistilBertConfig } from './config.ts';
import {
  DistilBertForMaskedLM,
  DistilBertForQuestionAnswering,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
} from './heads.ts';
import { DistilBertModel } from './model.ts';

function* landmarksOf(
  config: DistilBertConfig,
  prefix: string,
): Generator<readonly [string, readonly number[]]> {
  const { vocabSize, hiddenSize, positionRows, layers, intermediateSize } = config;
  yield [`${prefix}embeddings.word_embeddings.weight`, [vocabSize, hiddenSize]];
  yield [`${prefix}embeddings.position_embeddings.weight`, [positionRows, hiddenSize]];
  yield [`${prefix}transformer.layer.${layers - 1}.ffn.lin1.weight`, [intermediateSize, hiddenSize]];
}

const withHead = {
  modelTypes: ['distilbert'],
  baseModelPrefix: 'distilbert',
  parseConfig: parseDistilBertConfig,
  landmarks: (config: DistilBertConfig) => landmarksOf(config, 'distilbert.'),
  ignoredTensors: /^distilbert\.embeddings\.position_ids$/,
} satisfies Partial<Architecture<DistilBertModel>>;

/** DistilBERT (Sanh et al., 2019). */
export const distilbert: EncoderFamily<
  DistilBertModel,
  DistilBertForMaskedLM,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
  DistilBertForQuestionAnswering
> = {
  encoder: {
    ...withHead,
    baseModelPrefix: '',
    prefixWithHead: 'distilbert',
    landmarks: (config) => landmarksOf(config, ''),
    ignoredTensors: /^embeddings\.position_ids$/,
    build: (config) => new DistilBertModel(config),
  },
  maskedLM: { ...withHead, newWeights: /^vocab_/, build: (config) => new DistilBertForMaskedLM(config) },
  sequenceClassifier: {
    ...withHead,
    newWeights: /^(pre_)?classifier\./,
    build: (config) => new DistilBertForSequenceClassification(config),
  },
  tokenClassifier: {
    ...withHead,
    newWeights: /^classifier\./,
    build: (config) => new DistilBertForTokenClassification(config),
  },
  questionAnswerer: {
    ...withHead,
    parseConfig: (json) => checkSpanLabels(parseDistilBertConfig(json)),
    newWeights: /^qa_outputs\./,
    build: (config) => new DistilBertForQuestionAnswering(config),
  },
};
