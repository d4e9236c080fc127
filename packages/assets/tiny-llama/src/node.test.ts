import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tinyLlamaFiles } from './index.ts';
import { tinyLlamaFolder } from './node.ts';

describe('the files of the package', () => {
  it.each(Object.entries(tinyLlamaFiles))('%s has the same place by URL and by folder', (name, url) => {
    expect(fileURLToPath(url)).toBe(join(tinyLlamaFolder, name));
  });

  it.each(['tokenizer.json', 'tokenizer_config.json', 'quickstart/train.jsonl', 'quickstart/heldout.jsonl'])(
    'has %s',
    (name) => expect(existsSync(join(tinyLlamaFolder, name))).toBe(true),
  );

  it('keeps held-out passages out of the training text', () => {
    const read = (name: string) =>
      readFileSync(join(tinyLlamaFolder, 'quickstart', name), 'utf8')
        .trim()
        .split('\n');
    const train = new Set(read('train.jsonl'));
    expect(read('heldout.jsonl').filter((line) => train.has(line))).toEqual([]);
  });
});
