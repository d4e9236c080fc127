import type { Architecture } from '../architecture.ts';
import { landmarksOf } from '../bert/architectures.ts';
import type { BertConfig } from '../bert/config.ts';
import { BertModel } from '../bert/model.ts';
import type { EncoderFamily } from '../encoder/family.ts';
import { checkSpanLabels } from '../encoder/labels.ts';
import { parseRobertaConfig } from './config.ts';
import {
  RobertaForMaskedLM,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
} from './heads.ts';

const withHead = {
  modelTypes: ['roberta', 'xlm-roberta'],
  baseModelPrefix: 'roberta',
  parseConfig: parseRobertaConfig,
  landmarks: (config: BertConfig) => landmarksOf(config, 'roberta.'),
  // A head on the hidden states has no use for the bare model's pooler.
  ignoredTensors: /^roberta\.(embeddings\.position_ids$|pooler\.)/,
} satisfies Partial<Architecture<BertModel>>;

/** RoBERTa and XLM-RoBERTa: BERT whose positions are counted from after the padding's, with heads of its own. */
export const roberta: EncoderFamily<
  BertModel,
  RobertaForMaskedLM,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaForQuestionAnswering
> = {
  encoder: {
    ...withHead,
    baseModelPrefix: '',
    prefixWithHead: 'roberta',
    landmarks: (config) => landmarksOf(config, ''),
    ignoredTensors: /^embeddings\.position_ids$/,
    newWeights: /^pooler\./,
    build: (config) => new BertModel(config, { pooler: true }),
  },
  maskedLM: { ...withHead, newWeights: /^lm_head\./, build: (config) => new RobertaForMaskedLM(config) },
  sequenceClassifier: {
    ...withHead,
    newWeights: /^classifier\./,
    build: (config) => new RobertaForSequenceClassification(config),
  },
  tokenClassifier: {
    ...withHead,
    newWeights: /^classifier\./,
    build: (config) => new RobertaForTokenClassification(config),
  },
  questionAnswerer: {
    ...withHead,
    parseConfig: (json) => checkSpanLabels(parseRobertaConfig(json)),
    newWeights: /^qa_outputs\./,
    build: (config) => new RobertaForQuestionAnswering(config),
  },
};
