import { DataError } from './errors.ts';

/** What data can be read from: text, bytes, or a stream of either (a file's stream in Node, `Blob.stream()`). */
export type DataSource =
  | string
  | Uint8Array
  | AsyncIterable<string | Uint8Array>
  | Iterable<string | Uint8Array>
  | ReadableStream<string | Uint8Array>;

/** Pieces of text of a source, decoded as UTF-8 without its byte-order mark.
 * @throws DataError where the bytes are UTF-16 or look binary. */
export async function* textOf(source: DataSource, file?: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let first = true;
  for await (const piece of piecesOf(source)) {
    if (piece.length === 0) continue;
    if (first) refuseOtherEncodings(piece, file);
    // The decoder drops the mark of bytes; a string can still carry its own.
    const text =
      typeof piece === 'string'
        ? first && piece.startsWith('\uFEFF')
          ? piece.slice(1)
          : piece
        : decoder.decode(piece, { stream: true });
    first = false;
    if (text.length > 0) yield text;
  }
  const rest = decoder.decode();
  if (rest.length > 0) yield rest;
}

async function* piecesOf(source: DataSource): AsyncGenerator<string | Uint8Array> {
  if (typeof source === 'string' || source instanceof Uint8Array) yield source;
  // Not every browser can iterate a ReadableStream.
  else if ('getReader' in source) {
    const reader = source.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel();
    }
  } else yield* source;
}

const location = (file: string | undefined) => (file === undefined ? {} : { file });

const refuseOtherEncodings = (piece: string | Uint8Array, file: string | undefined): void => {
  if (typeof piece === 'string') return;
  const [a, b, c, d] = piece;
  const utf16 =
    (a === 0xff && b === 0xfe) ||
    (a === 0xfe && b === 0xff) ||
    // ASCII in UTF-16 without a mark: every other byte is zero.
    (piece.length >= 4 && ((a === 0 && c === 0 && b !== 0) || (b === 0 && d === 0 && a !== 0)));
  if (utf16) throw new DataError('the text is UTF-16: convert it to UTF-8', location(file));
  const zeros = piece.subarray(0, 4096).reduce((count, byte) => count + (byte === 0 ? 1 : 0), 0);
  if (zeros > 8)
    throw new DataError('the file is binary, not text: expected JSONL or plain UTF-8 text', location(file));
};
