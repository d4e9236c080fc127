import { createHash } from 'node:crypto';
import { type Example, splitHeldOut } from '@graftjs/data';
import type { Config } from '../config/schema.ts';
import { maxLengthOf } from './batching.ts';
import { checkFile } from './check-file.ts';
import type { Base } from './open-base.ts';

export interface RunExamples {
  readonly train: readonly Example[];
  readonly heldOut: readonly Example[];
  /** SHA-256 over ids and labels: the same data, tokenizer, template and lengths. */
  readonly digest: string;
  /** What a person should know of what became of the data; one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Reads, checks and tokenizes the data of a configuration.
 * @throws DataError, ChatTemplateError, VocabularyError
 */
export async function readExamples(
  config: Config,
  { tokenizer, task, config: limits }: Base,
): Promise<RunExamples> {
  const { train, heldOut } = config.data;
  const notes: string[] = [];
  if (config.data.maxLength > limits.maxPositions)
    notes.push(`the model has ${limits.maxPositions} positions: examples are at most that long`);
  const read = async (path: string, key: string): Promise<Example[]> => {
    await checkFile(path, key);
    const maxLength = maxLengthOf(config, limits);
    const file = await task.read({ path, config, tokenizer, limits, maxLength });
    notes.push(...file.notes);
    return [...file.examples];
  };
  const all: Example[] = [];
  for (const path of [train].flat()) all.push(...(await read(path, 'data.train')));
  let examples: { train: readonly Example[]; heldOut: readonly Example[] };
  if (typeof heldOut === 'string') examples = { train: all, heldOut: await read(heldOut, 'data.heldOut') };
  // One example cannot be split; it is trained on.
  else if (all.length < 2) examples = { train: all, heldOut: [] };
  else examples = splitHeldOut(all, heldOut, config.training.seed);
  return { ...examples, digest: digestOf(examples.train), notes };
}

function digestOf(examples: readonly Example[]): string {
  const hash = createHash('sha256');
  for (const { ids, labels } of examples) {
    hash.update(Int32Array.of(ids.length));
    hash.update(ids);
    hash.update(labels);
  }
  return hash.digest('hex');
}
