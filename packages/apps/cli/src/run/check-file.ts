import { stat } from 'node:fs/promises';
import { DataError } from '@graftjs/data';

/** @throws DataError where there is no such file */
export async function checkFile(path: string, key: string): Promise<void> {
  const info = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${cause.code})`;
    throw new DataError(`${what}: check ${key}`, { file: path }, { cause });
  });
  if (!info.isFile()) throw new DataError(`it is not a file: give ${key} the path of a file`, { file: path });
}
