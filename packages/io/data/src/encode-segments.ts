import type { Tokenizer } from './tokenizer.ts';

/** A part of a text, and whether it is to be learnt. */
export interface Segment {
  readonly text: string;
  readonly supervised: boolean;
}

/** Token ids of the joined text; `supervised[i]` is 1 where `ids[i]` is to be learnt. */
export interface EncodedSegments {
  readonly ids: Int32Array;
  readonly supervised: Uint8Array;
}

/**
 * Encodes neighbouring segments, without special tokens, so that each token belongs to one of them.
 *
 * Where the tokens of the whole begin with the tokens of everything before a boundary, the whole's tokens are
 * taken. Where a token would cross a boundary, the segments are encoded apart if that decodes to the same text
 * (which is what generation sees: it encodes the prompt alone); else the crossing token counts to the segment
 * in which it ends.
 */
export const encodeSegments = (tokenizer: Tokenizer, segments: readonly Segment[]): EncodedSegments => {
  const plain = { addSpecialTokens: false };
  const parts = segments.filter(({ text }) => text !== '');
  const whole = tokenizer.encode(parts.map(({ text }) => text).join(''), plain);
  const ends: number[] = [];
  let text = '';
  let crossed = false;
  for (const part of parts.slice(0, -1)) {
    text += part.text;
    const before = tokenizer.encode(text, plain);
    const common = commonPrefix(before, whole);
    crossed ||= common < before.length;
    ends.push(Math.max(common, ends.at(-1) ?? 0));
  }
  if (parts.length > 0) ends.push(whole.length);
  if (!crossed) return label(parts, whole, ends);

  const pieces = parts.map((part) => tokenizer.encode(part.text, plain));
  const apart = concat(pieces);
  if (tokenizer.decode(apart) !== tokenizer.decode(whole)) return label(parts, whole, ends);
  let end = 0;
  return label(
    parts,
    apart,
    pieces.map(({ length }) => (end += length)),
  );
};

const label = (parts: readonly Segment[], ids: Int32Array, ends: readonly number[]): EncodedSegments => {
  const supervised = new Uint8Array(ids.length);
  parts.forEach((part, i) => {
    if (part.supervised) supervised.fill(1, i === 0 ? 0 : ends[i - 1]!, ends[i]!);
  });
  return { ids, supervised };
};

/** How many leading elements two sequences share. */
export const commonPrefix = (a: ArrayLike<number | string>, b: ArrayLike<number | string>): number => {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a[i] === b[i]) i++;
  return i;
};

export const concat = (pieces: readonly Int32Array[]): Int32Array => {
  const all = new Int32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
};
