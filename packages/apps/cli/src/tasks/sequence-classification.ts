import { createReadStream } from 'node:fs';
import { readLabelledTexts, tokenizeLabelledTexts } from '@graftjs/data';
import {
  classifierLossSum,
  correctSum,
  type EncoderModel,
  type PretrainedModel,
  sequenceClassifiers,
} from '@graftjs/models';
import type { Tensor } from '@graftjs/tensor';
import type { LossSum } from '@graftjs/trainer';
import { skippedNote } from './causal-lm.ts';
import { noPacking, noSplitting, onlyFormat } from './refused.ts';
import type { Task } from './task.ts';

const onLogits =
  (sum: (model: EncoderModel, logits: Tensor, labels: Tensor) => Tensor) =>
  (given: PretrainedModel): LossSum => {
    const model = given as EncoderModel;
    return ({ labels, ...inputs }, context) => sum(model, model.forward(inputs, context), labels);
  };

/** Texts and their classes, by models with a head that tells one class of each text. */
export const sequenceClassification: Task = {
  type: 'SEQ_CLS',
  architectures: sequenceClassifiers,
  refused: [noPacking, noSplitting, onlyFormat('text-label')],
  read: async ({ path, config, tokenizer, limits, maxLength }) => {
    const { skipBad, labels = [] } = config.data;
    const overLong = config.data.overLong === 'drop' ? 'drop' : 'truncate';
    let skipped = 0;
    const onBad = (): void => {
      skipped++;
    };
    const records = await readLabelledTexts(createReadStream(path), { file: path, skipBad, onBad });
    const wanted = { labels, modelVocabSize: limits.vocabSize, file: path };
    const whole = tokenizeLabelledTexts(records, tokenizer, wanted);
    const long = whole.filter(({ ids }) => ids.length > maxLength).length;
    const fitting =
      long === 0 ? whole : tokenizeLabelledTexts(records, tokenizer, { ...wanted, maxLength, overLong });
    // the class is the answer, whatever the length of the text
    const examples = fitting.map(({ ids, labels: own }) => ({ ids, labels: own.slice(0, 1) }));
    const counts = labels.map(
      (name, id) => `${examples.filter((each) => each.labels[0] === id).length} ${name}`,
    );
    const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0);
    const became =
      overLong === 'drop'
        ? `${long} longer than ${maxLength} tokens left out`
        : `${long} cut at ${maxLength} tokens`;
    const parts = [
      `${examples.length} examples (text-label), ${tokens} tokens: ${counts.join(', ')}`,
      ...(long > 0 ? [became] : []),
    ];
    const notes = [`${path}: ${parts.join('; ')}`];
    return { examples, notes: skipped > 0 ? [...notes, skippedNote(path, skipped)] : notes };
  },
  collate: () => ({ seq2seq: true, maxLabelLength: 1 }),
  lossSum: onLogits(({ config }, logits, labels) => classifierLossSum(config, logits, labels)),
  correctSum: onLogits((_, logits, labels) => correctSum(logits, labels)),
};
