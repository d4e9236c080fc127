import type { Tokenizer } from './tokenizer.ts';

/** What the tokenizer's post-processor puts before a text: BOS, or nothing. */
export const openingTokens = (tokenizer: Tokenizer): Int32Array => {
  const plain = tokenizer.encode('a', { addSpecialTokens: false });
  const full = tokenizer.encode('a');
  for (let start = 0; start + plain.length <= full.length; start++)
    if (plain.every((id, i) => full[start + i] === id)) return full.slice(0, start);
  return new Int32Array();
};
