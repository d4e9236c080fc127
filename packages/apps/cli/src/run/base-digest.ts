import { createHash } from 'node:crypto';
import type { FileSource } from '@graftjs/checkpoint';

const pieceBytes = 8 * 2 ** 20;

/** SHA-256 of files by name, size and content. */
export async function digestOf(files: Iterable<readonly [name: string, file: FileSource]>): Promise<string> {
  const hash = createHash('sha256');
  for (const [name, file] of files) {
    const size = await file.size();
    hash.update(`${name} ${size}\n`);
    for (let at = 0; at < size; at += pieceBytes)
      hash.update(await file.read(at, Math.min(pieceBytes, size - at)));
  }
  return hash.digest('hex');
}
