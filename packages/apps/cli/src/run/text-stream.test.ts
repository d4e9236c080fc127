import { expect, test } from 'vitest';
import { TextStream } from './text-stream.ts';

const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];
/** Tokens that are bytes, as the smallest tokens of byte-level tokenizers are. */
const decode = (ids: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(ids));

function run(text: string, stops: readonly string[] = []): { pieces: string[]; stream: TextStream } {
  const stream = new TextStream(decode, stops);
  const pieces = bytesOf(text).map((id) => stream.push(id));
  return { pieces: [...pieces, stream.end()], stream };
}

test('characters come when all their bytes are there', () => {
  const { pieces, stream } = run('a€b');
  expect(pieces).toEqual(['a', '', '', '€', 'b', '']);
  expect(stream.text).toBe('a€b');
});

test('bytes that never become a character are given at the end', () => {
  const stream = new TextStream(decode);
  expect([stream.push(97), stream.push(0xe2), stream.end()]).toEqual(['a', '', '\uFFFD']);
});

test('a stop text ends the stream and is not given, not even in part', () => {
  const { pieces, stream } = run('one\nEND two', ['\nEND']);
  expect(pieces.join('')).toBe('one');
  expect(stream.stopped).toBe(true);
  expect(stream.text).toBe('one');
});

test('what only looked like a stop text is given after all', () => {
  const { pieces, stream } = run('one\nENTRY\nE', ['\nEND']);
  expect(pieces.join('')).toBe('one\nENTRY\nE');
  expect(pieces.at(-1)).toBe('\nE');
  expect(stream.stopped).toBe(false);
});
