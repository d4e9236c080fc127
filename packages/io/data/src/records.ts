import type { Message } from './chat-template.ts';
import { DataError } from './errors.ts';
import { type JsonlOptions, type JsonRow, readJsonl, readPlainText } from './jsonl.ts';
import type { DataSource } from './source-text.ts';

/** Text to be learnt whole. */
export interface TextRecord {
  readonly text: string;
}
/** Only the completion is learnt. */
export interface PromptCompletionRecord {
  readonly prompt: string;
  readonly completion: string;
}
/** Only the assistant's turns are learnt. */
export interface MessagesRecord {
  readonly messages: readonly Message[];
  /** Descriptions of tools, handed to the chat template. */
  readonly tools?: readonly unknown[];
}
export type DataRecord = TextRecord | PromptCompletionRecord | MessagesRecord;

export type DataFormat = 'text' | 'prompt-completion' | 'messages';

/** Records of one format; `rows[i]` is the row (from 1) of `records[i]` in its source. */
export interface RecordSet {
  readonly format: DataFormat;
  readonly records: readonly DataRecord[];
  readonly rows: readonly number[];
  /** Lines of bad JSON that were skipped, by permission of `skipBad`. */
  readonly skipped: number;
}

export interface ReadRecordsOptions extends JsonlOptions {
  /** Forces a format. Default: the first row decides. */
  readonly format?: DataFormat;
  /** Default: `text` where the file's name ends in .txt or .md, `jsonl` otherwise. */
  readonly container?: 'jsonl' | 'text';
}

/**
 * Reads records and checks them. A plain text is one record `{ text }`.
 *
 * @throws DataError for bad JSON, an empty set, and rows that do not have the format (naming the first five).
 */
export const readRecords = async (
  source: DataSource,
  options: ReadRecordsOptions = {},
): Promise<RecordSet> => {
  const { file } = options;
  const container = options.container ?? (/\.(txt|text|md)$/i.test(file ?? '') ? 'text' : 'jsonl');
  if (container === 'text') {
    const text = await readPlainText(source, options);
    return { format: 'text', records: [{ text }], rows: [1], skipped: 0 };
  }
  let skipped = 0;
  const rows: JsonRow[] = [];
  const onBad = (error: DataError): void => {
    skipped++;
    options.onBad?.(error);
  };
  for await (const row of readJsonl(source, { ...options, onBad })) rows.push(row);
  return { ...checkRecords(rows, options), skipped };
};

/** Checks rows that are already parsed. `row` numbers them in messages. */
export const checkRecords = (
  rows: readonly JsonRow[],
  options: { readonly file?: string; readonly format?: DataFormat } = {},
): Omit<RecordSet, 'skipped'> => {
  const where = options.file === undefined ? {} : { file: options.file };
  const first = rows[0];
  if (!first) throw new DataError('no rows: the data set is empty', where);
  const format = options.format ?? detectFormat(first.value, { ...where, rows: [first.row] });
  const records: DataRecord[] = [];
  const bad: { row: number; fault: string }[] = [];
  for (const { value, row } of rows) {
    const fault = faultOf(value, format);
    if (fault === undefined) records.push(normalize(value as Record<string, unknown>, format));
    else bad.push({ row, fault });
  }
  if (bad.length > 0) {
    const named = bad.slice(0, 5).map(({ row, fault }) => `row ${row}: ${fault}`);
    const more = bad.length > 5 ? ` (and ${bad.length - 5} more rows)` : '';
    const reason = options.format ? 'as asked for' : `as row ${first.row}`;
    throw new DataError(`not every row is "${format}" ${reason} — ${named.join('; ')}${more}`, {
      ...where,
      rows: bad.map(({ row }) => row),
    });
  }
  return { format, records, rows: rows.map(({ row }) => row) };
};

const expected = '{"text"}, {"prompt", "completion"} or {"messages": [{"role", "content"}]}';

/** The format of a row: messages before prompt and completion before text, where it could be several.
 * @throws DataError where it is none. */
export const detectFormat = (
  value: unknown,
  location: { readonly file?: string; readonly rows?: readonly number[] } = {},
): DataFormat => {
  if (!isObject(value)) throw new DataError(`expected an object ${expected}, got ${nameOf(value)}`, location);
  if ('messages' in value) return 'messages';
  if ('prompt' in value && 'completion' in value) return 'prompt-completion';
  if ('text' in value) return 'text';
  const keys = Object.keys(value);
  const hint =
    'conversations' in value
      ? 'rename ShareGPT\'s "conversations" to "messages" with "role" and "content"'
      : 'instruction' in value
        ? 'rename Alpaca\'s "instruction" and "output" to "prompt" and "completion"'
        : `expected ${expected}`;
  throw new DataError(
    `unknown format with ${keys.length > 0 ? `keys ${keys.slice(0, 8).join(', ')}` : 'no keys'}: ${hint}`,
    location,
  );
};

const faultOf = (value: unknown, format: DataFormat): string | undefined => {
  if (!isObject(value)) return `is ${nameOf(value)}, not an object`;
  if (format === 'text') return stringFault(value, 'text');
  if (format === 'prompt-completion') return stringFault(value, 'prompt') ?? stringFault(value, 'completion');
  const { messages } = value;
  if (messages === undefined) return missing(value, 'messages');
  if (!Array.isArray(messages)) return `"messages" is ${nameOf(messages)}, not an array`;
  if (messages.length === 0) return '"messages" is empty';
  for (const [i, message] of messages.entries()) {
    if (!isObject(message)) return `messages[${i}] is ${nameOf(message)}, not an object`;
    if (typeof message.role !== 'string' || message.role === '')
      return `messages[${i}].role is ${nameOf(message.role)}, not a string`;
    if (typeof message.content !== 'string' && !isTextParts(message.content))
      return `messages[${i}].content is ${nameOf(message.content)}, not a string`;
  }
  if (value.tools !== undefined && value.tools !== null && !Array.isArray(value.tools))
    return `"tools" is ${nameOf(value.tools)}, not an array`;
  return undefined;
};

const normalize = (value: Record<string, unknown>, format: DataFormat): DataRecord => {
  if (format === 'text') return { text: value.text as string };
  if (format === 'prompt-completion')
    return { prompt: value.prompt as string, completion: value.completion as string };
  const messages = (value.messages as Message[]).map((message) =>
    typeof message.content === 'string'
      ? message
      : {
          ...(message as object),
          role: message.role,
          content: (message.content as { text: string }[]).map(({ text }) => text).join(''),
        },
  );
  return Array.isArray(value.tools) ? { messages, tools: value.tools } : { messages };
};

const stringFault = (value: Record<string, unknown>, key: string): string | undefined => {
  if (!Object.hasOwn(value, key)) return missing(value, key);
  return typeof value[key] === 'string' ? undefined : `"${key}" is ${nameOf(value[key])}, not a string`;
};

const missing = (value: Record<string, unknown>, key: string): string =>
  `has no "${key}" (its keys: ${Object.keys(value).slice(0, 8).join(', ') || 'none'})`;

/** OpenAI's `content: [{ type: "text", text: "…" }]`. */
const isTextParts = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.every((part) => isObject(part) && part.type === 'text' && typeof part.text === 'string');

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const nameOf = (value: unknown): string => {
  if (value === null) return 'null';
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
};
