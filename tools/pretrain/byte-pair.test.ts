import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { byteCharacters, countWords, trainBytePairs } from './byte-pair.ts';
import expected from './fixtures/merges.json' with { type: 'json' };
import { quickstartTrain } from './paths.ts';

const specials = ['<|endoftext|>', '<|pad|>'];

describe('trainBytePairs', () => {
  it('learns what Hugging Face tokenizers learns from the same text', () => {
    const texts = readFileSync(quickstartTrain, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text);
    const { tokens, merges } = trainBytePairs(countWords(texts), expected.vocabSize, specials);
    expect(merges.map((pair) => pair.join(' '))).toEqual(expected.merges);
    expect(tokens).toEqual(expected.tokens);
  });

  it('does not depend on the order of the words', () => {
    const words = [...countWords(['a bc abc ab abcab cab bca, a bc abc'])];
    const trained = trainBytePairs(new Map(words), 270, specials);
    expect(trainBytePairs(new Map(words.reverse()), 270, specials)).toEqual(trained);
  });

  it('has a token for each byte and stops where nothing is left to merge', () => {
    const { tokens, merges } = trainBytePairs(countWords(['ab']), 500, specials);
    expect(merges).toEqual([['a', 'b']]);
    expect(tokens).toHaveLength(259);
    expect(new Set(byteCharacters).size).toBe(256);
    expect(byteCharacters.every((character) => tokens.includes(character))).toBe(true);
  });
});
