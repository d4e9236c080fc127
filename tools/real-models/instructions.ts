import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessagesRecord } from '@graftjs/data';
import { parse } from 'yaml';

/** Of the package's English files those that ask and answer: no small talk. */
const files = [
  'coding',
  'computers',
  'food',
  'history',
  'literature',
  'money',
  'science',
  'sports',
  'trivia',
];

/**
 * Questions and instructions with their answers, written by people, from the Python package chatterbot-corpus (BSD):
 * each conversation's turns are the user's and the assistant's in turn, nothing else is changed.
 * @param folder the unpacked package: it holds `chatterbot_corpus/data/english`
 */
export async function readInstructions(folder: string): Promise<MessagesRecord[]> {
  const records: MessagesRecord[] = [];
  for (const name of files) {
    const path = join(folder, 'chatterbot_corpus/data/english', `${name}.yml`);
    const { conversations } = parse(await readFile(path, 'utf8')) as { conversations: unknown[] };
    for (const turns of conversations) {
      // A few entries are one text, not a conversation.
      if (!Array.isArray(turns)) continue;
      const whole = turns.slice(0, turns.length - (turns.length % 2)).map((turn) => String(turn).trim());
      if (whole.length === 0) continue;
      records.push({
        messages: whole.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
      });
    }
  }
  return records;
}
