import { DataError } from './errors.ts';
import { type Example, ignoreLabel } from './example.ts';
import type { DataRecord, PromptCompletionRecord } from './records.ts';
import { checkIds, type TokenizeOptions, type TokenizeReport } from './tokenize-examples.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface TokenizeSeq2SeqOptions
  extends Pick<TokenizeOptions, 'maxLength' | 'addEos' | 'modelVocabSize' | 'file' | 'rows'> {
  /** Most labels of an answer. Default: no limit. */
  readonly maxLabelLength?: number;
  /** What happens to an example over a limit: cut its end, or leave it out. Default `truncate`. */
  readonly overLong?: 'truncate' | 'drop';
}

/**
 * Records `{ prompt, completion }` to examples of an encoder-decoder: the encoder reads the prompt with what the tokenizer
 * adds to a text, such as an end token, which stays where the prompt is cut; the labels are the completion and its EOS,
 * which goes where the completion is cut. Examples without anything to read or to learn are left out and counted.
 *
 * @throws DataError for records of another format, and where nothing is left; VocabularyError
 */
export function tokenizeSeq2Seq(
  records: readonly DataRecord[],
  tokenizer: Tokenizer,
  options: TokenizeSeq2SeqOptions = {},
): { examples: Example[]; report: TokenizeReport } {
  const { maxLength = Number.POSITIVE_INFINITY, maxLabelLength = Number.POSITIVE_INFINITY, file } = options;
  const where = file === undefined ? {} : { file };
  const rowOf = (index: number): number => options.rows?.[index] ?? index + 1;
  if (!(maxLength >= 2 && maxLabelLength >= 1))
    throw new RangeError(
      `maxLength is ${maxLength} and maxLabelLength ${maxLabelLength}: at least 2 and 1 are needed`,
    );
  const strange = records.findIndex((record) => !('prompt' in record));
  if (records.length === 0 || strange >= 0)
    throw new DataError(
      strange < 0
        ? 'no records: the data set is empty'
        : 'an encoder-decoder learns from { prompt, completion }: what its encoder reads, and what it answers',
      { ...where, ...(strange < 0 ? {} : { rows: [rowOf(strange)] }) },
    );
  const examples: Example[] = [];
  const droppedRows: number[] = [];
  let [truncated, droppedOverLong, droppedUnsupervised] = [0, 0, 0];
  for (const [index, record] of (records as readonly PromptCompletionRecord[]).entries()) {
    const whole = encode(record, tokenizer, options.addEos ?? true);
    const isLong = whole.ids.length > maxLength || whole.labels.length > maxLabelLength;
    const isEmpty = whole.ids.length === 0 || whole.labels.length === 0;
    if (isEmpty || (isLong && options.overLong === 'drop')) {
      if (isEmpty) droppedUnsupervised++;
      else droppedOverLong++;
      droppedRows.push(rowOf(index));
      continue;
    }
    if (isLong) truncated++;
    examples.push({
      ids: cut(whole.ids, maxLength, tokenizer),
      labels: whole.labels.slice(0, maxLabelLength),
    });
  }
  if (options.modelVocabSize !== undefined)
    checkIds(
      examples.flatMap(({ ids, labels }) => [ids, labels]),
      options.modelVocabSize,
    );
  if (examples.length === 0)
    throw new DataError(
      `nothing to learn in any of the ${records.length} records: ${droppedOverLong} over the limits were dropped, and ${droppedUnsupervised} have an empty prompt or completion`,
      { ...where, rows: droppedRows },
    );
  const supervised = examples.reduce((sum, { labels }) => sum + labels.length, 0);
  return {
    examples,
    report: {
      records: records.length,
      examples: examples.length,
      tokens: examples.reduce((sum, { ids }) => sum + ids.length, supervised),
      supervisedTokens: supervised,
      truncated,
      droppedOverLong,
      droppedUnsupervised,
      endInEos: examples.filter(({ labels }) => labels.at(-1) === (tokenizer.eosId ?? ignoreLabel)).length,
      droppedRows,
    },
  };
}

/** Prompt and completion as the tokenizer writes a text. Nothing stays of an empty one. */
function encode(
  { prompt, completion }: PromptCompletionRecord,
  tokenizer: Tokenizer,
  addEos: boolean,
): Example {
  const none = new Int32Array();
  const ids = prompt === '' ? none : tokenizer.encode(prompt);
  if (completion === '') return { ids, labels: none };
  const said = tokenizer.encode(completion);
  const { eosId } = tokenizer;
  const body = eosId !== undefined && said.at(-1) === eosId ? said.slice(0, -1) : said;
  return { ids, labels: addEos && eosId !== undefined ? Int32Array.of(...body, eosId) : body };
}

/** The first `length` ids; a special token at the end stays there. */
function cut(ids: Int32Array, length: number, tokenizer: Tokenizer): Int32Array {
  if (ids.length <= length) return ids;
  const last = ids.at(-1)!;
  return tokenizer.isSpecial(last) ? Int32Array.of(...ids.slice(0, length - 1), last) : ids.slice(0, length);
}
