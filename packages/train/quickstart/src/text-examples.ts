import {
  chunkText,
  DataError,
  type DataFormat,
  type DataRecord,
  type Example,
  joinDocuments,
  type RecordSet,
  readRecords,
  splitHeldOut,
  type TextRecord,
  type Tokenizer,
  tokenizeExamples,
} from '@graftjs/data';

/** Text to learn or to measure by. */
export interface QuickstartText {
  /** JSON Lines, a JSON array, or plain text. */
  readonly content: string;
  /** Names it in messages; `.txt` and `.md` are plain text, anything else JSON. Default `train.jsonl`. */
  readonly file?: string;
}

export interface ExampleOptions {
  readonly blockLength: number;
  readonly batchSize: number;
  readonly modelVocabSize: number;
  readonly seed: number;
}

export interface ExampleSets {
  readonly train: readonly Example[];
  readonly heldOut: readonly Example[];
  readonly format: DataFormat;
  /** First words of texts, for prompts. */
  readonly openings: readonly string[];
}

/** The part of a text that is held out where none is given. */
const heldOutFraction = 0.1;
/** Blocks shorter than this teach next to nothing. */
const leastBlock = 16;

/**
 * Examples from a text. Plain text and `{ text }` are joined and cut into blocks of one length, as many as fill whole
 * batches, so that one shape is compiled; other formats keep one example a row.
 * @throws DataError where there is too little, or the rows have no known format
 */
export async function textExamples(
  train: QuickstartText,
  heldOut: QuickstartText | undefined,
  tokenizer: Tokenizer,
  options: ExampleOptions,
): Promise<ExampleSets> {
  const read = ({ content, file = 'train.jsonl' }: QuickstartText): Promise<RecordSet> =>
    readRecords(content, { file });
  const own = await read(train);
  const other = heldOut && (await read(heldOut));
  const openings = openingsOf(own.records);
  if (own.format !== 'text') {
    const encode = ({ records, rows }: RecordSet, { file }: QuickstartText): Example[] =>
      tokenizeExamples(records, tokenizer, {
        maxLength: options.blockLength,
        modelVocabSize: options.modelVocabSize,
        rows,
        ...(file === undefined ? {} : { file }),
      });
    const all = encode(own, train);
    const sets = other
      ? { train: all, heldOut: encode(other, heldOut) }
      : splitHeldOut(all, heldOutFraction, options.seed);
    return { ...sets, format: own.format, openings };
  }
  const ids = tokens(own, tokenizer);
  if (other) {
    const { blockLength } = options;
    const sets = {
      train: chunkText(ids, blockLength),
      heldOut: chunkText(tokens(other, tokenizer), blockLength),
    };
    return {
      train: wholeBatches(sets.train, options.batchSize),
      heldOut: wholeBatches(sets.heldOut, options.batchSize),
      format: 'text',
      openings,
    };
  }
  // A short text is cut into shorter blocks, so that there is something to hold out.
  const blockLength = Math.min(options.blockLength, Math.floor(ids.length / 4));
  if (blockLength < leastBlock)
    throw new DataError(
      `${ids.length} tokens are too few to learn from and to measure by: give at least ${4 * leastBlock}, some three sentences`,
      { file: train.file ?? 'train.jsonl' },
    );
  const sets = splitHeldOut(chunkText(ids, blockLength), heldOutFraction, options.seed);
  return {
    train: wholeBatches(sets.train, options.batchSize),
    heldOut: wholeBatches(sets.heldOut, options.batchSize),
    format: 'text',
    openings,
  };
}

const tokens = ({ records }: RecordSet, tokenizer: Tokenizer): Int32Array =>
  joinDocuments(
    (records as readonly TextRecord[]).map(({ text }) => text),
    tokenizer,
  );

/** Without the rest that does not fill a batch, unless there is not one whole batch. */
const wholeBatches = (examples: readonly Example[], batchSize: number): readonly Example[] =>
  examples.length < batchSize ? examples : examples.slice(0, examples.length - (examples.length % batchSize));

/** The first words of a few texts, spread over all of them. */
function openingsOf(records: readonly DataRecord[]): string[] {
  const texts = records.flatMap((record) =>
    'text' in record ? record.text.split(/\n\s*\n|(?<=[.!?])\s+/) : 'prompt' in record ? [record.prompt] : [],
  );
  const whole = 'prompt' in (records[0] ?? {});
  const starts = texts
    .map((text) => text.trim().split(/\s+/))
    .filter((words) => words.length >= (whole ? 1 : 6))
    .map((words) => words.slice(0, whole ? 40 : 4).join(' '));
  return [0.1, 0.5, 0.9].map((at) => starts[Math.floor(at * starts.length)]).filter((s) => s !== undefined);
}
