import { createReadStream } from 'node:fs';
import type { JsonObject } from '@graftjs/checkpoint';
import { DataError, readLabelledTexts } from '@graftjs/data';
import type { Config } from '../config/schema.ts';

/**
 * Names of the classes that a classifier of texts tells: those of the configuration, else those that the model's
 * config.json names, else those of the training data (names in alphabetical order, or numbers from 0 on).
 * @throws DataError where the data has both names and numbers
 */
export async function classesOf({ data }: Config, json: JsonObject): Promise<readonly string[]> {
  if (data.labels) return data.labels;
  const { id2label } = json;
  if (typeof id2label === 'object' && id2label !== null)
    return Object.keys(id2label).map((_, i) => String((id2label as Readonly<Record<string, unknown>>)[i]));
  const found = new Set<string | number>();
  const files = [data.train].flat();
  for (const file of files) {
    const rows = await readLabelledTexts(createReadStream(file), { file, skipBad: data.skipBad });
    for (const { label } of rows) found.add(label);
  }
  const names = [...found].filter((label): label is string => typeof label === 'string').sort();
  const numbers = [...found].filter((label): label is number => typeof label === 'number');
  if (names.length > 0 && numbers.length === 0) return names;
  const strange = numbers.find((label) => !(Number.isInteger(label) && label >= 0 && label < mostClasses));
  if (names.length > 0 || strange !== undefined)
    throw new DataError(
      strange === undefined
        ? `labels are names and numbers: give data.labels, the names in the order of the numbers`
        : `label ${strange} is no class: give whole numbers from 0 on, or names`,
      { file: files[0]! },
    );
  return Array.from({ length: Math.max(1, ...numbers) + 1 }, (_, i) => `LABEL_${i}`);
}

/** A number above is a mistake, such as a year, and not a class. */
const mostClasses = 100_000;

/** Keys of config.json for a head of these classes, of which a text has one. */
export const classKeys = (labels: readonly string[]): JsonObject => ({
  id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
  label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  num_labels: labels.length,
  problem_type: 'single_label_classification',
});
