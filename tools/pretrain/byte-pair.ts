/**
 * Byte-level byte-pair encoding, trained as GPT-2's: a word is the UTF-8 bytes of a match of the split pattern;
 * the most frequent pair of neighbouring tokens becomes a token, until the vocabulary is full. Sennrich, Haddow
 * and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016.
 */

/** GPT-2's split, the one that Hugging Face's `ByteLevel` pre-tokenizer applies. */
const word = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2 writes a byte as a printable character: itself where it has one, else one from U+0100 on. */
export const byteCharacters: readonly string[] = (() => {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

export interface BytePairModel {
  /** Tokens by id: specials, the 256 bytes in the order of their characters, then what merging made. */
  readonly tokens: readonly string[];
  /** Pairs of tokens in the order in which they are merged. */
  readonly merges: readonly (readonly [string, string])[];
}

/** How often each word occurs. */
export const countWords = (texts: Iterable<string>): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const [match] of text.matchAll(word)) counts.set(match, (counts.get(match) ?? 0) + 1);
  return counts;
};

/**
 * Trains `vocabSize` tokens, `specials` included. Deterministic: equal counts are decided by the smaller ids,
 * whatever the order of the words.
 */
export const trainBytePairs = (
  counts: ReadonlyMap<string, number>,
  vocabSize: number,
  specials: readonly string[],
): BytePairModel => {
  const tokens = [...specials, ...[...byteCharacters].sort()];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const byteIds = byteCharacters.map((character) => ids.get(character)!);
  const encoder = new TextEncoder();
  const words = [...counts].map(([text, count]) => ({
    symbols: Array.from(encoder.encode(text), (byte) => byteIds[byte]!),
    count,
  }));

  // A pair is one number, so that it can be a key.
  const keyOf = (left: number, right: number): number => left * vocabSize + right;
  const pairCounts = new Map<number, number>();
  const wordsWith = new Map<number, Set<number>>();
  const tally = (index: number, sign: 1 | -1): void => {
    const { symbols, count } = words[index]!;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const key = keyOf(symbols[i]!, symbols[i + 1]!);
      pairCounts.set(key, (pairCounts.get(key) ?? 0) + sign * count);
      const holders = wordsWith.get(key) ?? new Set();
      wordsWith.set(key, sign > 0 ? holders.add(index) : holders);
      if (sign < 0) holders.delete(index);
    }
  };
  for (const index of words.keys()) tally(index, 1);

  const merges: [string, string][] = [];
  while (tokens.length < vocabSize) {
    let best = -1;
    let bestCount = 0;
    for (const [key, count] of pairCounts)
      if (count > bestCount || (count === bestCount && count > 0 && key < best))
        [best, bestCount] = [key, count];
    if (best < 0) break;
    const left = Math.floor(best / vocabSize);
    const right = best % vocabSize;
    const token = tokens[left]! + tokens[right]!;
    merges.push([tokens[left]!, tokens[right]!]);
    // Two pairs can spell the same token; it keeps its first id.
    const id = ids.get(token) ?? tokens.push(token) - 1;
    ids.set(token, id);
    for (const index of [...(wordsWith.get(best) ?? [])]) {
      tally(index, -1);
      const { symbols } = words[index]!;
      words[index]!.symbols = mergePair(symbols, left, right, id);
      tally(index, 1);
    }
    pairCounts.delete(best);
    wordsWith.delete(best);
  }
  return { tokens, merges };
};

const mergePair = (symbols: readonly number[], left: number, right: number, merged: number): number[] => {
  const result: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      result.push(merged);
      i++;
    } else result.push(symbols[i]!);
  }
  return result;
};
