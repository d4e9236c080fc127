import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import {
  DataError,
  type Example,
  readRecords,
  splitHeldOut,
  type TokenizeReport,
  type Tokenizer,
  tokenizeRecords,
} from '@graftjs/data';
import type { Config } from '../config/schema.ts';
import { maxLengthOf } from './batching.ts';

export interface RunExamples {
  readonly train: readonly Example[];
  readonly heldOut: readonly Example[];
  /** SHA-256 over ids and labels: the same data, tokenizer, template and lengths. */
  readonly digest: string;
  /** What a person should know of what became of the data; one sentence each. */
  readonly notes: readonly string[];
}

/** What the model can take. */
export interface ModelLimits {
  readonly vocabSize: number;
  readonly maxPositions: number;
}

/**
 * Reads, checks and tokenizes the data of a configuration.
 * @throws DataError, ChatTemplateError, VocabularyError
 */
export async function readExamples(
  config: Config,
  tokenizer: Tokenizer,
  limits: ModelLimits,
): Promise<RunExamples> {
  const { train, heldOut } = config.data;
  const notes: string[] = [];
  if (config.data.maxLength > limits.maxPositions)
    notes.push(`the model has ${limits.maxPositions} positions: examples are at most that long`);
  const read = async (path: string, key: string): Promise<Example[]> => {
    await checkFile(path, key);
    const file = await readFile(path, config, tokenizer, limits);
    notes.push(...file.notes);
    return file.examples;
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

async function readFile(
  path: string,
  config: Config,
  tokenizer: Tokenizer,
  limits: ModelLimits,
): Promise<{ examples: Example[]; notes: string[] }> {
  const { format, skipBad, maskPrompt, overLong } = config.data;
  const maxLength = maxLengthOf(config, limits);
  const set = await readRecords(createReadStream(path), {
    file: path,
    skipBad,
    ...(format === 'auto' ? {} : { format }),
  });
  const { examples, report } = tokenizeRecords(set.records, tokenizer, {
    maxLength,
    maskPrompt,
    overLong,
    modelVocabSize: limits.vocabSize,
    file: path,
    rows: set.rows,
  });
  const notes = [describe(path, set.format, report, maxLength)];
  if (set.skipped > 0) notes.push(`${path}: ${set.skipped} lines of bad JSON passed over`);
  if (tokenizer.eosId !== undefined && report.endInEos === 0)
    notes.push(`${path}: no example ends in a learnt end-of-text token: the model will not learn to stop`);
  return { examples, notes };
}

async function checkFile(path: string, key: string): Promise<void> {
  const info = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${cause.code})`;
    throw new DataError(`${what}: check ${key}`, { file: path }, { cause });
  });
  if (!info.isFile()) throw new DataError(`it is not a file: give ${key} the path of a file`, { file: path });
}

function describe(path: string, format: string, report: TokenizeReport, maxLength: number): string {
  const parts = [
    `${report.examples} examples (${format}), ${report.tokens} tokens, ${report.supervisedTokens} of them learnt`,
    report.truncated > 0 ? `${report.truncated} cut at ${maxLength} tokens` : '',
    report.droppedOverLong > 0 ? `${report.droppedOverLong} longer than ${maxLength} tokens left out` : '',
    report.droppedUnsupervised > 0 ? `${report.droppedUnsupervised} with nothing to learn left out` : '',
  ];
  return `${path}: ${parts.filter(Boolean).join('; ')}`;
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
