import { renderConversation } from './assistant-spans.ts';
import { concat, type EncodedSegments, encodeSegments } from './encode-segments.ts';
import { ChatTemplateError, DataError, VocabularyError } from './errors.ts';
import { type Example, ignoreLabel, supervisedTokens } from './example.ts';
import { openingTokens } from './opening-tokens.ts';
import type { DataRecord, MessagesRecord } from './records.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface TokenizeOptions {
  /** Most tokens of an example. Default: no limit. */
  readonly maxLength?: number;
  /** Learn completions and assistant's turns only; `false` learns every token. Default `true`. */
  readonly maskPrompt?: boolean;
  /** What happens to an example over `maxLength`: cut its end, leave it out, or (text only; other formats are
   * cut) split it into windows that follow each other. Default `truncate`. */
  readonly overLong?: 'truncate' | 'drop' | 'split';
  /** End text and completions with EOS. Default `true`; no effect where the tokenizer has none. */
  readonly addEos?: boolean;
  /** Rows of the model's embedding; larger ids are an error here, not an out-of-bounds read on the GPU. */
  readonly modelVocabSize?: number;
  /** For messages of errors: the file, and the row of each record (default: its index + 1). */
  readonly file?: string;
  readonly rows?: readonly number[];
}

/** What became of the records. */
export interface TokenizeReport {
  readonly records: number;
  readonly examples: number;
  readonly tokens: number;
  readonly supervisedTokens: number;
  readonly truncated: number;
  readonly droppedOverLong: number;
  readonly droppedUnsupervised: number;
  /** Examples whose last supervised token is EOS; where it is 0, the model never learns to stop. */
  readonly endInEos: number;
  /** Rows of the records left out. */
  readonly droppedRows: readonly number[];
}

/** {@link tokenizeRecords} without its report. */
export const tokenizeExamples = (
  records: readonly DataRecord[],
  tokenizer: Tokenizer,
  options: TokenizeOptions = {},
): Example[] => tokenizeRecords(records, tokenizer, options).examples;

/**
 * Records to examples. Of `{ text }` every token is learnt, of `{ prompt, completion }` the completion and its
 * EOS, of `{ messages }` the assistant's turns. What is learnt is decided by position, never by id: EOS is
 * learnt even where it is also the padding token. Examples without anything to learn are left out and counted.
 *
 * @throws DataError where nothing is left; ChatTemplateError with the row a template refuses; VocabularyError.
 */
export const tokenizeRecords = (
  records: readonly DataRecord[],
  tokenizer: Tokenizer,
  options: TokenizeOptions = {},
): { examples: Example[]; report: TokenizeReport } => {
  const { maxLength = Number.POSITIVE_INFINITY, overLong = 'truncate', addEos = true, file } = options;
  const where = file === undefined ? {} : { file };
  if (!(maxLength >= 2))
    throw new RangeError(`maxLength is ${maxLength}: it must be at least 2, a token and the next one`);
  if (records.length === 0) throw new DataError('no records: the data set is empty', where);

  const opening = openingTokens(tokenizer);
  const eos = Int32Array.of(...(addEos && tokenizer.eosId !== undefined ? [tokenizer.eosId] : []));
  const examples: Example[] = [];
  const droppedRows: number[] = [];
  let truncated = 0;
  let droppedOverLong = 0;
  let droppedUnsupervised = 0;

  for (const [index, record] of records.entries()) {
    const row = options.rows?.[index] ?? index + 1;
    const encoded = encodeRecord(record, tokenizer, opening, eos, { ...where, rows: [row] });
    const whole = toExample(encoded, options.maskPrompt ?? true);
    let parts = [whole];
    if (whole.ids.length > maxLength) {
      if (overLong === 'drop') {
        droppedOverLong++;
        droppedRows.push(row);
        continue;
      }
      if (overLong === 'split' && 'text' in record) parts = windows(whole, maxLength);
      else {
        truncated++;
        parts = [slice(whole, 0, maxLength)];
      }
    }
    const kept = parts.filter(({ labels }) => supervisedTokens(labels) > 0);
    if (kept.length === 0) {
      droppedUnsupervised++;
      droppedRows.push(row);
    }
    examples.push(...kept);
  }

  if (options.modelVocabSize !== undefined)
    checkIds(
      examples.map(({ ids }) => ids),
      options.modelVocabSize,
    );
  if (examples.length === 0)
    throw new DataError(
      `nothing to learn in any of the ${records.length} records: ${droppedOverLong} over the limit of ` +
        `${maxLength} tokens were dropped, and ${droppedUnsupervised} have no token to learn` +
        `${truncated > 0 ? ` (${truncated} after truncation)` : ''}; raise maxLength or check the data`,
      { ...where, rows: droppedRows },
    );
  return {
    examples,
    report: {
      records: records.length,
      examples: examples.length,
      tokens: examples.reduce((sum, { ids }) => sum + ids.length, 0),
      supervisedTokens: examples.reduce((sum, { labels }) => sum + supervisedTokens(labels), 0),
      truncated,
      droppedOverLong,
      droppedUnsupervised,
      endInEos: examples.filter(({ labels }) => endsIn(labels, tokenizer.eosId)).length,
      droppedRows,
    },
  };
};

const encodeRecord = (
  record: DataRecord,
  tokenizer: Tokenizer,
  opening: Int32Array,
  eos: Int32Array,
  location: { readonly file?: string; readonly rows: readonly number[] },
): EncodedSegments => {
  if ('messages' in record) {
    try {
      return encodeConversation(record, tokenizer);
    } catch (error) {
      if (error instanceof ChatTemplateError)
        throw new ChatTemplateError(error.message, location, { cause: error });
      throw error;
    }
  }
  if ('text' in record) {
    const ids = tokenizer.encode(record.text, { addSpecialTokens: false });
    // An opening and an end around nothing would only teach to say nothing.
    if (ids.length === 0) return { ids, supervised: new Uint8Array() };
    const all = concat([opening, ids, ids.at(-1) === eos[0] ? new Int32Array() : eos]);
    return { ids: all, supervised: new Uint8Array(all.length).fill(1) };
  }
  const body = encodeSegments(tokenizer, [
    { text: record.prompt, supervised: false },
    { text: record.completion, supervised: true },
  ]);
  const closing = body.supervised.at(-1) === 1 && body.ids.at(-1) === eos[0] ? new Int32Array() : eos;
  const ids = concat([opening, body.ids, closing]);
  const supervised = new Uint8Array(ids.length);
  supervised.set(body.supervised, opening.length);
  supervised.fill(1, opening.length + body.ids.length);
  return { ids, supervised };
};

const encodeConversation = (record: MessagesRecord, tokenizer: Tokenizer): EncodedSegments => {
  const variables = record.tools ? { tools: record.tools } : {};
  const { segments, marked } = renderConversation(record.messages, tokenizer, variables);
  const encoded = encodeSegments(tokenizer, segments);
  if (!marked) dropSpaceAfterEnd(encoded, tokenizer);
  return encoded;
};

/** A template's turn often ends in `<|im_end|>` and a line break; the break comes after generation has ended. */
const dropSpaceAfterEnd = ({ ids, supervised }: EncodedSegments, tokenizer: Tokenizer): void => {
  for (let end = ids.length; end > 0; end--) {
    if (supervised[end - 1] !== 1 || supervised[end] === 1) continue;
    let last = end - 1;
    while (
      last > 0 &&
      supervised[last] === 1 &&
      !tokenizer.isSpecial(ids[last]!) &&
      tokenizer.decode([ids[last]!]).trim() === ''
    )
      last--;
    if (supervised[last] === 1 && tokenizer.isSpecial(ids[last]!)) supervised.fill(0, last + 1, end);
  }
};

const toExample = ({ ids, supervised }: EncodedSegments, maskPrompt: boolean): Example => ({
  ids,
  labels: maskPrompt ? ids.map((id, i) => (supervised[i] === 1 ? id : ignoreLabel)) : ids.slice(),
});

const slice = ({ ids, labels }: Example, start: number, end: number): Example => ({
  ids: ids.slice(start, end),
  labels: labels.slice(start, end),
});

const windows = (example: Example, length: number): Example[] =>
  Array.from({ length: Math.ceil(example.ids.length / length) }, (_, i) =>
    slice(example, i * length, (i + 1) * length),
  );

const endsIn = (labels: Int32Array, id: number | undefined): boolean => {
  const last = labels.findLast((label) => label !== ignoreLabel);
  return last !== undefined && last === id;
};

export const checkIds = (rows: Iterable<Int32Array>, modelVocabSize: number): void => {
  let largest = -1;
  for (const ids of rows) for (const id of ids) if (id > largest) largest = id;
  if (largest >= modelVocabSize) throw new VocabularyError(largest + 1, modelVocabSize);
};
