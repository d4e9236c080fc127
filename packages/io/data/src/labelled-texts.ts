import { DataError } from './errors.ts';
import { type Example, ignoreLabel } from './example.ts';
import { type JsonlOptions, readJsonl } from './jsonl.ts';
import type { DataSource } from './source-text.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A text and its class: by name, or its number. */
export interface LabelledText {
  readonly text: string;
  readonly label: string | number;
}

/** Reads rows `{ text, label }` of JSON Lines. @throws DataError for other rows, naming the first of them */
export async function readLabelledTexts(
  source: DataSource,
  options: JsonlOptions = {},
): Promise<LabelledText[]> {
  const records: LabelledText[] = [];
  for await (const { value, row } of readJsonl(source, options)) {
    const { text, label } = (value ?? {}) as Partial<Record<keyof LabelledText, unknown>>;
    if (typeof text !== 'string' || (typeof label !== 'string' && typeof label !== 'number'))
      throw new DataError('expected an object {"text", "label"}, the label a string or a number', {
        ...(options.file === undefined ? {} : { file: options.file }),
        rows: [row],
      });
    records.push({ text, label });
  }
  return records;
}

export interface LabelledTextOptions {
  /** Names of the classes, in the model's order; a label that is a number is an index into them. */
  readonly labels: readonly string[];
  /** Most tokens of a text, special ones included; what is longer loses tokens before the last. Default: no limit. */
  readonly maxLength?: number;
}

/**
 * Texts to examples for a classifier of texts: the class is the label of the first token, and no other is learnt. Collate
 * them with `learnsFirst`, so that each text counts once.
 * @throws DataError for a label that is none of the classes
 */
export function tokenizeLabelledTexts(
  records: readonly LabelledText[],
  tokenizer: Tokenizer,
  { labels, maxLength = Number.POSITIVE_INFINITY }: LabelledTextOptions,
): Example[] {
  return records.map(({ text, label }, index) => {
    const id = typeof label === 'number' ? label : labels.indexOf(label);
    if (labels[id] === undefined)
      throw new DataError(`${JSON.stringify(label)} is none of the classes ${labels.join(', ')}`, {
        rows: [index + 1],
      });
    const whole = tokenizer.encode(text);
    const ids =
      whole.length > maxLength ? Int32Array.of(...whole.subarray(0, maxLength - 1), whole.at(-1)!) : whole;
    const own = new Int32Array(ids.length).fill(ignoreLabel);
    own[0] = id;
    return { ids, labels: own };
  });
}
