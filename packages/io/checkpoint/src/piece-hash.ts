import { type FileContent, type FileSource, pieces } from './folder.ts';

/**
 * Files are hashed in pieces of this many bytes: WebCrypto hashes only what is in memory, and so a file of
 * any size is hashed in constant memory. The hash of a file up to this size is its plain SHA-256.
 */
export const PIECE_BYTES = 64 * 1024 * 1024;

/** SHA-256 as lower-case hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What a manifest says of one file. */
export interface FileDigest {
  readonly byteLength: number;
  /** One SHA-256 for every `PIECE_BYTES`; none for an empty file. */
  readonly sha256: readonly string[];
}

/** The content passed through unchanged, and its digest once all of it has passed. */
export function digesting(content: FileContent, pieceBytes = PIECE_BYTES) {
  const hashes: string[] = [];
  let byteLength = 0;
  async function* through(): AsyncGenerator<Uint8Array> {
    let buffer: Uint8Array | undefined;
    let filled = 0;
    for await (const piece of pieces(content)) {
      byteLength += piece.byteLength;
      let rest = piece;
      while (rest.byteLength > 0) {
        if (filled === 0 && rest.byteLength >= pieceBytes) {
          hashes.push(await sha256(rest.subarray(0, pieceBytes)));
          rest = rest.subarray(pieceBytes);
          continue;
        }
        buffer = grown(buffer, filled, Math.min(filled + rest.byteLength, pieceBytes), pieceBytes);
        const part = rest.subarray(0, pieceBytes - filled);
        buffer.set(part, filled);
        filled += part.byteLength;
        rest = rest.subarray(part.byteLength);
        if (filled === pieceBytes) {
          hashes.push(await sha256(buffer));
          filled = 0;
        }
      }
      yield piece;
    }
    if (filled > 0) hashes.push(await sha256(buffer!.subarray(0, filled)));
  }
  return { content: through(), digest: (): FileDigest => ({ byteLength, sha256: hashes }) };
}

/** Doubles, so that a small file takes little memory. */
function grown(buffer: Uint8Array | undefined, filled: number, needed: number, most: number): Uint8Array {
  if (buffer && buffer.byteLength >= needed) return buffer;
  const larger = new Uint8Array(Math.min(most, Math.max(needed, 2 * (buffer?.byteLength ?? 0))));
  if (buffer) larger.set(buffer.subarray(0, filled));
  return larger;
}

/** Whether a file is what its digest says. */
export async function matches(source: FileSource, digest: FileDigest, pieceBytes: number): Promise<boolean> {
  if ((await source.size()) !== digest.byteLength) return false;
  if (digest.sha256.length !== Math.ceil(digest.byteLength / pieceBytes)) return false;
  for (const [index, expected] of digest.sha256.entries()) {
    const offset = index * pieceBytes;
    const length = Math.min(pieceBytes, digest.byteLength - offset);
    if ((await sha256(await source.read(offset, length))) !== expected) return false;
  }
  return true;
}
