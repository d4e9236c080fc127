/**
 * Writes the text that the quickstart fine-tunes on: passages of the King James Bible (Genesis, Ruth, Mark), from
 * Debian's packages `bible-kjv` and `bible-kjv-text`, to `packages/assets/tiny-llama/files/quickstart/`. Every
 * thirteenth chapter is held out. Needs `apt-get` and `dpkg` (Debian or Ubuntu); the result is committed.
 *
 *     npx tsx --conditions=@graftjs/source tools/pretrain/quickstart-text.ts
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { passages } from './passages.ts';
import { quickstartHeldOut, quickstartTrain } from './paths.ts';

/** Two to four verses: about 100 tokens. */
const passageCharacters = 300;
const heldOutEvery = 13;
/** As the program prints the books' names. */
const books = ['Ge', 'Ruth', 'Mark'];

interface Chapter {
  readonly name: string;
  readonly verses: string[];
}

/** All 31,102 verses, one a line: `Ge1:1 In the beginning …`. */
const printBible = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'graft-kjv-'));
  try {
    execFileSync('apt-get', ['download', 'bible-kjv', 'bible-kjv-text'], { cwd: folder, stdio: 'pipe' });
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb')))
      execFileSync('dpkg', ['-x', file, 'root'], { cwd: folder });
    const program = join(folder, 'root/usr/bin/bible');
    const verses = ['-p', join(folder, 'root/usr/lib'), '-f', 'gen1:1-rev22:21'];
    return execFileSync(program, verses, { encoding: 'utf8', maxBuffer: 2 ** 24, input: '' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const chaptersOf = (bible: string): Chapter[] => {
  const chapters = new Map<string, Chapter>();
  for (const line of bible.split('\n')) {
    const [, book, chapter, verse] = /^(\d?[A-Za-z]+)(\d+):\d+ (.+)$/.exec(line) ?? [];
    if (book === undefined || verse === undefined || !books.includes(book)) continue;
    const name = `${book} ${chapter}`;
    const known = chapters.get(name);
    if (known) known.verses.push(verse.trim());
    else chapters.set(name, { name, verses: [verse.trim()] });
  }
  return [...chapters.values()];
};

const write = (path: string, chapters: readonly Chapter[]): void => {
  const texts = chapters.flatMap(({ verses }) => passages(verses, passageCharacters));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  console.log(`${path}: ${chapters.length} chapters, ${texts.length} passages, ${characters} characters`);
};

const chapters = chaptersOf(printBible());
const isHeldOut = (index: number): boolean => index % heldOutEvery === Math.floor(heldOutEvery / 2);
write(
  quickstartTrain,
  chapters.filter((_, i) => !isHeldOut(i)),
);
write(
  quickstartHeldOut,
  chapters.filter((_, i) => isHeldOut(i)),
);
