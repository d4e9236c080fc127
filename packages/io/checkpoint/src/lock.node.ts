import { link, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { FolderLockedError } from './errors.ts';

/** A folder that this process alone writes to. */
export interface FolderLock {
  /** Gives the folder free; also when called twice. */
  release(): Promise<void>;
}

/** The name of the lock file. */
const LOCK = '.graft.lock';

/**
 * Keeps other runs out of a folder until `release()` or the end of this process: a lock of a process of
 * this machine that no longer lives is taken over. Makes the folder where it is missing.
 * @throws FolderLockedError with the process and machine that hold it
 */
export async function lockFolder(path: string): Promise<FolderLock> {
  const folder = resolve(path);
  const file = join(folder, LOCK);
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), nonce: crypto.randomUUID() });
  await mkdir(folder, { recursive: true });
  for (;;) {
    if (await create(file, mine)) break;
    await removeStale(file);
  }
  return {
    async release() {
      if ((await readOrNothing(file)) === mine) await unlink(file);
    },
  };
}

/** Makes the file with its content in one step, so that nobody sees it empty; false where there is one. */
async function create(file: string, content: string): Promise<boolean> {
  const prepared = `${file}.${crypto.randomUUID()}`;
  await writeFile(prepared, content, { flag: 'wx' });
  try {
    await link(prepared, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP'].includes(code ?? '')) throw error;
  } finally {
    await unlink(prepared);
  }
  // A file system without hard links.
  try {
    await writeFile(file, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** @throws FolderLockedError where the lock is not stale */
async function removeStale(file: string): Promise<void> {
  const text = await readOrNothing(file);
  if (text === undefined) return;
  const { pid, host } = parse(text);
  const stale = host === hostname() && !isAlive(pid);
  if (!stale) throw new FolderLockedError(file, pid, host);
  // Moved away and looked at again: another process may have taken the lock over in between.
  const aside = `${file}.${crypto.randomUUID()}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readOrNothing(aside)) !== text) await link(aside, file);
  await unlink(aside);
}

/** A lock cut short by a crash or a full disk names no process: it is nobody's of this machine. */
function parse(text: string): { pid: number; host: string } {
  try {
    const { pid, host } = JSON.parse(text) as { pid: unknown; host: unknown };
    if (Number.isSafeInteger(pid) && (pid as number) > 0 && typeof host === 'string') {
      return { pid: pid as number, host };
    }
  } catch {}
  return { pid: 0, host: hostname() };
}

function isAlive(pid: number): boolean {
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readOrNothing(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
