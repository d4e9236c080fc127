import { DataError } from './errors.ts';
import { findJsonFault } from './json-position.ts';
import { type DataSource, textOf } from './source-text.ts';

export interface JsonlOptions {
  /** Name for messages. */
  readonly file?: string;
  /** How many lines of bad JSON to skip before failing. Default 0. */
  readonly skipBad?: number;
  /** Longest line, in characters. Default 64 Mi. */
  readonly maxLineLength?: number;
  /** Longest JSON array document, in characters. Default 256 Mi. */
  readonly maxArrayLength?: number;
  /** Called for each skipped line. */
  readonly onBad?: (error: DataError) => void;
}

/** A parsed row. `row` counts records from 1; `line` is its line, absent for the items of a JSON array. */
export interface JsonRow {
  readonly value: unknown;
  readonly row: number;
  readonly line?: number;
}

/**
 * Reads JSON Lines as a stream; a document that is one JSON array of rows is read too. Blank lines, CRLF and a
 * byte-order mark are fine. Lone surrogates become U+FFFD.
 *
 * @throws DataError with file, line, column and an excerpt for bad JSON, and for a line over the limit.
 */
export async function* readJsonl(source: DataSource, options: JsonlOptions = {}): AsyncGenerator<JsonRow> {
  const { file, skipBad = 0, maxLineLength = 2 ** 26, maxArrayLength = 2 ** 28, onBad } = options;
  const where = file === undefined ? {} : { file };
  let bad = 0;
  let row = 0;
  let line = 0;
  let isArray: boolean | undefined;
  let pending: string[] = [];
  let pendingLength = 0;

  const parseLine = function* (text: string): Generator<JsonRow> {
    line++;
    if (text.trim() === '') return;
    let value: unknown;
    try {
      value = parseJson(text, file, line);
    } catch (error) {
      if (!(error instanceof DataError) || ++bad > skipBad) throw error;
      onBad?.(error);
      return;
    }
    yield { value, row: ++row, line };
  };

  for await (const piece of textOf(source, file)) {
    isArray ??= piece.trimStart() === '' ? undefined : piece.trimStart().startsWith('[');
    if (isArray === true) {
      pending.push(piece);
      pendingLength += piece.length;
      if (pendingLength > maxArrayLength)
        throw new DataError(
          `a JSON array of more than ${maxArrayLength} characters: write one object a line (JSONL) instead`,
          where,
        );
      continue;
    }
    let start = 0;
    for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', start)) {
      pending.push(piece.slice(start, end));
      const text = pending.join('');
      pending = [];
      pendingLength = 0;
      if (text.length > maxLineLength) throw tooLong(line + 1, maxLineLength, file);
      yield* parseLine(text);
      start = end + 1;
    }
    if (start < piece.length) {
      pending.push(piece.slice(start));
      pendingLength += piece.length - start;
      if (pendingLength > maxLineLength) throw tooLong(line + 1, maxLineLength, file);
    }
  }

  const rest = pending.join('');
  if (isArray !== true) {
    if (rest !== '') yield* parseLine(rest);
    return;
  }
  const items = parseJson(rest, file, line + 1);
  if (!Array.isArray(items)) throw new DataError('expected a JSON array of rows', where);
  for (const value of items) yield { value, row: ++row };
}

const tooLong = (line: number, limit: number, file: string | undefined): DataError =>
  new DataError(`the line has more than ${limit} characters: is this really JSONL, one object a line?`, {
    ...(file === undefined ? {} : { file }),
    line,
  });

/** Parses a text that starts at line `line` of `file`. */
const parseJson = (text: string, file: string | undefined, line: number): unknown => {
  try {
    return wellFormed(JSON.parse(text));
  } catch (cause) {
    const { offset, reason } = findJsonFault(text) ?? { offset: 0, reason: String(cause) };
    const before = text.slice(0, offset).split('\n');
    const excerpt = text.slice(Math.max(0, offset - 20), offset + 20).trim();
    throw new DataError(
      `bad JSON near ${JSON.stringify(excerpt)}: ${reason}`,
      {
        ...(file === undefined ? {} : { file }),
        line: line + before.length - 1,
        column: before.at(-1)!.length + 1,
      },
      { cause },
    );
  }
};

const loneSurrogate = /\p{Surrogate}/gu;

/** JSON can escape half a character, which no tokenizer can encode. */
const wellFormed = (value: unknown): unknown => {
  if (typeof value === 'string') return value.replace(loneSurrogate, '\uFFFD');
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      // `__proto__` as a parsed key is an own property; assignment would call the setter.
      if (key !== '__proto__') (value as Record<string, unknown>)[key] = wellFormed(item);
    }
  }
  return value;
};

/** The whole of a plain text source, with line ends as `\n`.
 * @throws DataError where it is not UTF-8 text or holds nothing but white space. */
export const readPlainText = async (
  source: DataSource,
  options: { readonly file?: string } = {},
): Promise<string> => {
  const pieces: string[] = [];
  for await (const piece of textOf(source, options.file)) pieces.push(piece);
  const text = pieces.join('').replace(/\r\n?/g, '\n').replace(loneSurrogate, '\uFFFD');
  if (text.trim() === '')
    throw new DataError('the file holds no text', options.file === undefined ? {} : { file: options.file });
  return text;
};
