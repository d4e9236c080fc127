import { createReadStream } from 'node:fs';
import { readRecords, tokenizeSeq2Seq } from '@graftjs/data';
import { type Seq2SeqLM, seq2seqArchitectures, seq2seqLossSum, shiftRight } from '@graftjs/models';
import type { Config } from '../config/schema.ts';
import { describeReport, skippedNote } from './causal-lm.ts';
import { noPacking, noSplitting, onlyFormat } from './refused.ts';
import type { Task } from './task.ts';

const maxTarget = ({ data }: Config, maxLength: number): number => data.maxTargetLength ?? maxLength;

/** Prompts and their completions, by encoder-decoders. */
export const seq2seqLM: Task = {
  type: 'SEQ_2_SEQ_LM',
  architectures: seq2seqArchitectures,
  refused: [noPacking, noSplitting, onlyFormat('prompt-completion')],
  read: async ({ path, config, tokenizer, limits, maxLength }) => {
    const { skipBad, overLong } = config.data;
    const set = await readRecords(createReadStream(path), { file: path, skipBad });
    const { examples, report } = tokenizeSeq2Seq(set.records, tokenizer, {
      maxLength,
      maxLabelLength: maxTarget(config, maxLength),
      overLong: overLong === 'drop' ? 'drop' : 'truncate',
      modelVocabSize: limits.vocabSize,
      file: path,
      rows: set.rows,
    });
    const notes = [describeReport(path, set.format, report, maxLength)];
    return { examples, notes: set.skipped > 0 ? [...notes, skippedNote(path, set.skipped)] : notes };
  },
  collate: (config, maxLength) => ({ seq2seq: true, maxLabelLength: maxTarget(config, maxLength) }),
  lossSum: (given) => {
    const model = given as Seq2SeqLM;
    return ({ labels, ...inputs }, context) => {
      const decoderInputIds = shiftRight(labels, model.config);
      return seq2seqLossSum(model.forward({ ...inputs, decoderInputIds }, context), labels);
    };
  },
};
