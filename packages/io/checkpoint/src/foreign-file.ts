import { type CheckpointError, GitLfsPointerError, PickleRefusedError } from './errors.ts';
import type { FileSource } from './folder.ts';

/**
 * What stands in a file that is not of the format asked for, told by its first bytes and not by its name.
 * @param refuse the error of the format's reader: what the file is, and what to do
 * @returns the error that says so, or undefined where nothing is recognised
 */
export async function recognise(
  source: FileSource,
  refuse: (what: string, hint: string) => CheckpointError,
): Promise<CheckpointError | undefined> {
  const start = await source.read(0, Math.min(await source.size(), 64));
  const text = String.fromCharCode(...start);
  if (text.startsWith('version https://git-lfs')) return new GitLfsPointerError(source.name);
  const pickle = start[0] === 0x80 && (start[1] ?? 0) >= 2 && (start[1] ?? 0) <= 5;
  if (pickle || text.startsWith('PK\x03\x04')) return new PickleRefusedError(source.name);
  if (text.startsWith('GGUF')) return refuse('a GGUF file', 'Open it as GGUF');
  if (/^\s*<(!doctype|html)/i.test(text)) {
    return refuse(
      'a web page, probably an error page saved in place of the file',
      'Download it again and check the address',
    );
  }
  return undefined;
}
