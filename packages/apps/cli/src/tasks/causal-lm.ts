import { createReadStream } from 'node:fs';
import { readRecords, type TokenizeReport, tokenizeRecords } from '@graftjs/data';
import { architectures, type CausalLM, tokenLossSum } from '@graftjs/models';
import type { Task } from './task.ts';

/** Texts, prompts with completions and conversations, by decoders. */
export const causalLM: Task = {
  type: 'CAUSAL_LM',
  architectures,
  refused: [
    {
      path: 'data.format',
      given: ({ data }) => data.format === 'text-label',
      why: 'classes of texts are for SEQ_CLS',
    },
  ],
  read: async ({ path, config, tokenizer, limits, maxLength }) => {
    const { format, skipBad, maskPrompt, overLong } = config.data;
    const set = await readRecords(createReadStream(path), {
      file: path,
      skipBad,
      ...(format === 'auto' || format === 'text-label' ? {} : { format }),
    });
    const { examples, report } = tokenizeRecords(set.records, tokenizer, {
      maxLength,
      maskPrompt,
      overLong,
      modelVocabSize: limits.vocabSize,
      file: path,
      rows: set.rows,
    });
    const notes = [describeReport(path, set.format, report, maxLength)];
    if (set.skipped > 0) notes.push(skippedNote(path, set.skipped));
    if (tokenizer.eosId !== undefined && report.endInEos === 0)
      notes.push(`${path}: no example ends in a learnt end-of-text token: the model will not learn to stop`);
    return { examples, notes };
  },
  collate: () => ({}),
  lossSum:
    (model) =>
    ({ labels, ...inputs }, context) =>
      tokenLossSum((model as CausalLM).forward(inputs, context), labels),
};

/** What became of a file's records. */
export function describeReport(
  path: string,
  format: string,
  report: TokenizeReport,
  maxLength: number,
): string {
  const parts = [
    `${report.examples} examples (${format}), ${report.tokens} tokens, ${report.supervisedTokens} of them learnt`,
    report.truncated > 0 ? `${report.truncated} cut at ${maxLength} tokens` : '',
    report.droppedOverLong > 0 ? `${report.droppedOverLong} longer than ${maxLength} tokens left out` : '',
    report.droppedUnsupervised > 0 ? `${report.droppedUnsupervised} with nothing to learn left out` : '',
  ];
  return `${path}: ${parts.filter(Boolean).join('; ')}`;
}

export const skippedNote = (path: string, skipped: number): string =>
  `${path}: ${skipped} lines of bad JSON passed over`;
