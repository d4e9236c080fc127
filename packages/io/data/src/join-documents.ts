import { concat } from './encode-segments.ts';
import { openingTokens } from './opening-tokens.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * One stream of tokens for {@link chunkText}: each text between what the tokenizer puts before a text (BOS) and
 * EOS. Where BOS and EOS are one token it stands once between two texts.
 */
export const joinDocuments = (texts: Iterable<string>, tokenizer: Tokenizer): Int32Array => {
  const opening = openingTokens(tokenizer);
  const closing = Int32Array.of(...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId]));
  const sharesToken = opening.length === 1 && opening[0] === closing[0];
  const pieces: Int32Array[] = [];
  for (const text of texts) {
    if (pieces.length === 0 || !sharesToken) pieces.push(opening);
    pieces.push(tokenizer.encode(text, { addSpecialTokens: false }), closing);
  }
  return concat(pieces);
};
