import { createHash } from 'node:crypto';
import type { Folder } from '@graftjs/checkpoint';

const pieceBytes = 8 * 2 ** 20;

/** SHA-256 of a model's configuration and weights: which base an adapter was trained on. */
export async function baseDigest(folder: Folder): Promise<string> {
  const names = (await folder.list()).filter(
    (name) => name === 'config.json' || name.endsWith('.safetensors'),
  );
  const hash = createHash('sha256');
  for (const name of names) {
    const file = await folder.open(name);
    const size = await file.size();
    hash.update(`${name} ${size}\n`);
    for (let at = 0; at < size; at += pieceBytes)
      hash.update(await file.read(at, Math.min(pieceBytes, size - at)));
  }
  return hash.digest('hex');
}
