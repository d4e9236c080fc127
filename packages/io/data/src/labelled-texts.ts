import { DataError } from './errors.ts';
import { type Example, ignoreLabel } from './example.ts';
import { type JsonlOptions, readJsonl } from './jsonl.ts';
import type { DataSource } from './source-text.ts';
import { checkIds, type TokenizeOptions } from './tokenize-examples.ts';
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

export interface LabelledTextOptions extends Pick<TokenizeOptions, 'maxLength' | 'modelVocabSize' | 'file'> {
  /** Names of the classes, in the model's order; a label that is a number is an index into them. */
  readonly labels: readonly string[];
  /**
   * What happens to a text of more than `maxLength` tokens, special ones included: it loses tokens before the last, or is
   * left out. Default `truncate`.
   */
  readonly overLong?: 'truncate' | 'drop';
}

/**
 * Texts to examples for a classifier of texts: the class is the label of the first token, and no other is learnt. Collate
 * them with `learnsFirst`, so that each text counts once.
 * @throws DataError for a label that is none of the classes, and where nothing is left; VocabularyError
 */
export function tokenizeLabelledTexts(
  records: readonly LabelledText[],
  tokenizer: Tokenizer,
  options: LabelledTextOptions,
): Example[] {
  const { labels, maxLength = Number.POSITIVE_INFINITY, overLong = 'truncate', modelVocabSize } = options;
  const where = options.file === undefined ? {} : { file: options.file };
  const examples = records.flatMap(({ text, label }, index): Example[] => {
    const id = typeof label === 'number' ? label : labels.indexOf(label);
    if (labels[id] === undefined)
      throw new DataError(`${JSON.stringify(label)} is none of the classes ${labels.join(', ')}`, {
        ...where,
        rows: [index + 1],
      });
    const whole = tokenizer.encode(text);
    const isLong = whole.length > maxLength;
    if (isLong && overLong === 'drop') return [];
    const ids = isLong ? Int32Array.of(...whole.subarray(0, maxLength - 1), whole.at(-1)!) : whole;
    const own = new Int32Array(ids.length).fill(ignoreLabel);
    own[0] = id;
    return [{ ids, labels: own }];
  });
  if (examples.length === 0)
    throw new DataError(
      records.length === 0
        ? 'no records: the data set is empty'
        : `none of the ${records.length} texts has at most ${maxLength} tokens`,
      where,
    );
  if (modelVocabSize !== undefined)
    checkIds(
      examples.map(({ ids }) => ids),
      modelVocabSize,
    );
  return examples;
}
