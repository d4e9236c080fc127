/** Folders of the file system, for Node (and for what runs Node's modules). */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import {
  FileChangedError,
  FileMissingError,
  FileReadError,
  FileWriteError,
  UnsafePathError,
} from './errors.ts';
import {
  allocate,
  checkName,
  checkRange,
  type FileSource,
  type Folder,
  pieces,
  readAllText,
} from './folder.ts';

export { type FolderLock, lockFolder } from './lock.node.ts';

export interface NodeFolderOptions {
  /**
   * Links out of the folder: `'cache'` follows only those of the Hugging Face cache, from
   * `snapshots/<revision>/` into `blobs/`; `'follow'` follows all of them.
   * @default 'cache'
   */
  readonly links?: 'cache' | 'follow';
}

/** The folder at `path`, which need not exist yet. */
export function nodeFolder(path: string, options: NodeFolderOptions = {}): Folder {
  const root = resolve(path);
  return folderAt(root, root, options);
}

/** A single file by its path. @throws FileMissingError when it is opened and not there */
export function nodeFile(path: string): Promise<FileSource> {
  return openFile(resolve(path));
}

/** @param top the folder that the user named: links may lead anywhere inside it */
function folderAt(top: string, root: string, options: NodeFolderOptions): Folder {
  const pathOf = (name: string) => join(root, checkName(root, name));
  const folder: Folder = {
    location: root,

    async list() {
      try {
        return (await readdir(root)).sort();
      } catch (cause) {
        if (isMissing(cause)) return [];
        throw readError(root, cause);
      }
    },

    async has(name) {
      const path = pathOf(name);
      try {
        return (await stat(path)).isFile();
      } catch (cause) {
        if (isMissing(cause)) return false;
        throw readError(path, cause);
      }
    },

    async open(name) {
      const path = pathOf(name);
      if (options.links !== 'follow') await checkInside(top, path, name);
      return openFile(path);
    },

    async readText(name, maxBytes) {
      return readAllText(await folder.open(name), maxBytes);
    },

    async writeAtomic(name, content) {
      const path = pathOf(name);
      const parent = dirname(path);
      const temporary = join(
        parent,
        `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`,
      );
      try {
        await mkdir(parent, { recursive: true });
        const handle = await open(temporary, 'wx');
        try {
          for await (const piece of pieces(content)) await writeFully(handle, piece);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(temporary, path);
        await syncFolder(parent);
      } catch (cause) {
        await unlink(temporary).catch(() => {});
        throw writeError(path, cause);
      }
    },

    folder(name) {
      return folderAt(top, pathOf(name), options);
    },

    async remove(name) {
      const path = pathOf(name);
      try {
        await rm(path, { recursive: true, force: true });
      } catch (cause) {
        throw writeError(path, cause);
      }
    },

    async rename(from, to) {
      const target = pathOf(to);
      try {
        await rename(pathOf(from), target);
        await syncFolder(dirname(target));
      } catch (cause) {
        throw writeError(target, cause);
      }
    },
  };
  return folder;
}

/** Each read opens the file anew, so that nothing has to be closed, and checks that it is the same file. */
async function openFile(path: string): Promise<FileSource> {
  const first = await using(path, identify);
  return {
    name: path,
    size: async () => first.size,
    read: (offset, length) =>
      using(path, async (handle) => {
        const now = await identify(handle, path);
        if (now.inode !== first.inode || now.size !== first.size || now.modified !== first.modified) {
          throw new FileChangedError(path, 'the file was replaced while it was being read', 'Open it again');
        }
        checkRange(path, first.size, offset, length);
        return readFully(handle, path, offset, length);
      }),
  };
}

async function using<T>(path: string, body: (handle: FileHandle, path: string) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    // Without waiting: a pipe in place of the file must not hang the program.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    throw readError(path, cause);
  }
  try {
    return await body(handle, path);
  } catch (cause) {
    throw isSystemError(cause) ? readError(path, cause) : cause;
  } finally {
    await handle.close();
  }
}

async function identify(handle: FileHandle, path: string) {
  const { ino: inode, size, mtimeNs: modified, isFile } = await statOf(handle);
  if (!isFile) throw new FileReadError(path, 'this is not a regular file', 'Give the path of a file');
  return { inode, size, modified };
}

async function statOf(handle: FileHandle) {
  const info = await handle.stat({ bigint: true });
  return { ino: info.ino, size: Number(info.size), mtimeNs: info.mtimeNs, isFile: info.isFile() };
}

/** Below the 2^31 bytes that one system call can move. */
const MAX_CALL_BYTES = 1 << 30;

async function readFully(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = allocate(path, length);
  let done = 0;
  while (done < length) {
    const wanted = Math.min(length - done, MAX_CALL_BYTES);
    const { bytesRead } = await handle.read(bytes, done, wanted, offset + done);
    if (bytesRead === 0) {
      throw new FileChangedError(path, 'the file became shorter while it was being read', 'Open it again');
    }
    done += bytesRead;
  }
  return bytes;
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const wanted = Math.min(bytes.byteLength - done, MAX_CALL_BYTES);
    done += (await handle.write(bytes, done, wanted)).bytesWritten;
  }
}

/** Makes a rename last through a power cut. Some systems cannot open a folder; there it is left to them. */
async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } catch (error) {
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(codeOf(error) ?? '')) throw error;
  } finally {
    await handle?.close();
  }
}

/** @throws UnsafePathError where a link leads out of `top` to anything but the Hub cache's blobs */
async function checkInside(top: string, path: string, name: string): Promise<void> {
  let target: string;
  let inside: string;
  try {
    [target, inside] = await Promise.all([realpath(path), realpath(top)]);
  } catch (cause) {
    throw readError(path, cause);
  }
  const revisions = dirname(inside);
  const allowed =
    basename(revisions) === 'snapshots' ? [inside, join(dirname(revisions), 'blobs')] : [inside];
  if (allowed.some((folder) => target.startsWith(folder.endsWith(sep) ? folder : folder + sep))) return;
  throw new UnsafePathError(path, name, `a link out of the folder, to ${target}`);
}

function readError(path: string, cause: unknown): Error {
  if (isMissing(cause)) {
    return new FileMissingError(path, 'the file does not exist', 'Check the path');
  }
  return new FileReadError(
    path,
    `reading failed (${describe(cause)})`,
    'Check the disk and the permissions',
    {
      cause,
    },
  );
}

const WRITE_HINTS: Readonly<Record<string, readonly [string, string]>> = {
  ENOSPC: ['the disk is full', 'Free space and save again; what was saved before is untouched'],
  EDQUOT: ['the disk quota is used up', 'Free space and save again; what was saved before is untouched'],
  EFBIG: ['the file is larger than the system allows', 'Raise the limit (`ulimit -f`) or use another disk'],
  EACCES: ['writing is not permitted', 'Choose a folder that you may write to'],
  EPERM: ['writing is not permitted', 'Choose a folder that you may write to'],
  EROFS: ['the disk is read-only', 'Choose a folder on another disk'],
  ENOTDIR: ['part of the path is a file, not a folder', 'Choose another folder'],
  EEXIST: ['something of this name is in the way', 'Choose another name or remove it'],
  ENOTEMPTY: ['a folder of this name is in the way', 'Choose another name or remove it'],
};

/** An error of the content itself (of the caller's generator) passes as it is. */
function writeError(path: string, cause: unknown): unknown {
  if (!isSystemError(cause)) return cause;
  const code = codeOf(cause);
  const [what, hint] = WRITE_HINTS[code ?? ''] ?? ['writing failed', 'Check the disk and the permissions'];
  return new FileWriteError(path, `${what} (${describe(cause)})`, hint, code, { cause });
}

function codeOf(error: unknown): string | undefined {
  return isSystemError(error) ? error.code : undefined;
}

function isSystemError(error: unknown): error is Error & { code: string; syscall: string } {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');
}

function describe(error: unknown): string {
  return codeOf(error) ?? (error instanceof Error ? error.message : String(error));
}
