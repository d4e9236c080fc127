import type { Architecture } from '../architecture.ts';
import type { EncoderFamily } from '../encoder/family.ts';
import { checkSpanLabels } from '../encoder/labels.ts';
import { type BertConfig, parseBertConfig } from './config.ts';
import {
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
} from './heads.ts';
import { BertModel } from './model.ts';

/** Older files have TensorFlow's names of a norm's parts. */
const renamed = (name: string): string =>
  name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');

/** Names and shapes of a few weights of the bare model. */
export function* landmarksOf(
  config: BertConfig,
  prefix: string,
): Generator<readonly [string, readonly number[]]> {
  const { vocabSize, hiddenSize, positionRows, layers, intermediateSize } = config;
  yield [`${prefix}embeddings.word_embeddings.weight`, [vocabSize, hiddenSize]];
  yield [`${prefix}embeddings.position_embeddings.weight`, [positionRows, hiddenSize]];
  yield [`${prefix}encoder.layer.${layers - 1}.intermediate.dense.weight`, [intermediateSize, hiddenSize]];
}

const withHead = {
  modelTypes: ['bert'],
  baseModelPrefix: 'bert',
  parseConfig: parseBertConfig,
  landmarks: (config: BertConfig) => landmarksOf(config, 'bert.'),
  renamed,
} satisfies Partial<Architecture<BertModel>>;

const positionIds = /^bert\.embeddings\.position_ids$/;
const poolerToo = /^bert\.(embeddings\.position_ids$|pooler\.)/;

/** BERT, and what has its layout, such as MiniLM. */
export const bert: EncoderFamily<
  BertModel,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertForQuestionAnswering
> = {
  encoder: {
    ...withHead,
    baseModelPrefix: '',
    prefixWithHead: 'bert',
    landmarks: (config) => landmarksOf(config, ''),
    ignoredTensors: /^embeddings\.position_ids$/,
    newWeights: /^pooler\./,
    build: (config) => new BertModel(config, { pooler: true }),
  },
  maskedLM: {
    ...withHead,
    ignoredTensors: poolerToo,
    newWeights: /^cls\./,
    build: (config) => new BertForMaskedLM(config),
  },
  sequenceClassifier: {
    ...withHead,
    ignoredTensors: positionIds,
    newWeights: /^(bert\.pooler|classifier)\./,
    build: (config) => new BertForSequenceClassification(config),
  },
  tokenClassifier: {
    ...withHead,
    ignoredTensors: poolerToo,
    newWeights: /^classifier\./,
    build: (config) => new BertForTokenClassification(config),
  },
  questionAnswerer: {
    ...withHead,
    parseConfig: (json) => checkSpanLabels(parseBertConfig(json)),
    ignoredTensors: poolerToo,
    newWeights: /^qa_outputs\./,
    build: (config) => new BertForQuestionAnswering(config),
  },
};
