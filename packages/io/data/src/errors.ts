/** Where in the data a {@link DataError} was found. Lines, columns and rows count from 1. */
export interface DataLocation {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** The first rows concerned (at most five are kept). */
  readonly rows?: readonly number[];
}

/**
 * The data cannot be trained on as it is. The message is one line: where, what, and what to do.
 * The place is also in the fields, for a caller that shows it in its own way.
 */
export class DataError extends Error {
  override readonly name: string = 'DataError';
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly rows: readonly number[];

  constructor(message: string, location: DataLocation = {}, options?: ErrorOptions) {
    super(`${describeLocation(location)}${message}`, options);
    this.file = location.file;
    this.line = location.line;
    this.column = location.column;
    this.rows = (location.rows ?? []).slice(0, maxRowsNamed);
  }
}

/** A chat template refused a conversation, failed, or ran past its limits. */
export class ChatTemplateError extends DataError {
  override readonly name = 'ChatTemplateError';
}

/** `tokenizer.json` or its configuration cannot be used. */
export class TokenizerError extends Error {
  override readonly name: string = 'TokenizerError';
}

/** The tokenizer can produce ids for which the model has no embedding. */
export class VocabularyError extends TokenizerError {
  override readonly name = 'VocabularyError';
  readonly vocabSize: number;
  readonly modelVocabSize: number;

  constructor(vocabSize: number, modelVocabSize: number) {
    super(
      `the tokenizer's ids go up to ${vocabSize - 1}, but the model embeds only ${modelVocabSize} tokens: ` +
        'use the tokenizer that belongs to the model, or resize its embeddings',
    );
    this.vocabSize = vocabSize;
    this.modelVocabSize = modelVocabSize;
  }
}

const maxRowsNamed = 5;

const describeLocation = ({ file, line, column, rows }: DataLocation): string => {
  const parts: string[] = [];
  if (file !== undefined) parts.push(file);
  if (line !== undefined)
    parts.push(column === undefined ? `line ${line}` : `line ${line}, column ${column}`);
  if (rows !== undefined && rows.length > 0) parts.push(describeRows(rows));
  return parts.length > 0 ? `${parts.join(', ')}: ` : '';
};

/** `row 3`, `rows 3, 5 and 9`, `rows 1, 2, 3, 4, 5 and 12 more`. */
export const describeRows = (rows: readonly number[]): string => {
  if (rows.length === 1) return `row ${rows[0]}`;
  if (rows.length > maxRowsNamed)
    return `rows ${rows.slice(0, maxRowsNamed).join(', ')} and ${rows.length - maxRowsNamed} more`;
  return `rows ${rows.slice(0, -1).join(', ')} and ${rows.at(-1)}`;
};
