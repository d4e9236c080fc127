import { FileChangedError, FileMissingError, FileReadError, FileWriteError } from './errors.ts';
import { checkName, checkRange, type FileSource, type Folder, pieces, readAllText } from './folder.ts';

/**
 * A folder behind a browser's directory handle: its origin's private file system
 * (`await navigator.storage.getDirectory()`) or a folder that the user picked. A file is replaced in one
 * step when its last byte is written. Folders cannot be renamed there.
 */
export function opfsFolder(root: FileSystemDirectoryHandle, location = root.name || 'opfs'): Folder {
  return folderAt(location, async () => root);
}

/** Finds the directory, making it where that is asked for. */
type Resolve = (create: boolean) => Promise<FileSystemDirectoryHandle>;

function folderAt(location: string, resolve: Resolve): Folder {
  /** The directory of a name with `/`, and the last segment. */
  const descend = async (name: string, create: boolean) => {
    const segments = checkName(location, name).split('/');
    const last = segments.pop()!;
    let directory = await resolve(create);
    for (const segment of segments) directory = await directory.getDirectoryHandle(segment, { create });
    return { directory, last };
  };

  const folder: Folder = {
    location,

    async list() {
      try {
        const names: string[] = [];
        for await (const name of (await resolve(false)).keys()) names.push(name);
        return names.sort();
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    },

    async has(name) {
      try {
        const { directory, last } = await descend(name, false);
        await directory.getFileHandle(last);
        return true;
      } catch (error) {
        if (isMissing(error)) return false;
        throw error;
      }
    },

    async open(name) {
      try {
        const { directory, last } = await descend(name, false);
        return sourceOf(`${location}/${name}`, await (await directory.getFileHandle(last)).getFile());
      } catch (cause) {
        if (!isMissing(cause)) throw cause;
        throw new FileMissingError(`${location}/${name}`, 'the file does not exist', 'Check the folder', {
          cause,
        });
      }
    },

    async readText(name, maxBytes) {
      return readAllText(await folder.open(name), maxBytes);
    },

    async writeAtomic(name, content) {
      const file = `${location}/${name}`;
      let stream: FileSystemWritableFileStream | undefined;
      const isNew = !(await folder.has(name));
      try {
        const { directory, last } = await descend(name, true);
        stream = await (await directory.getFileHandle(last, { create: true })).createWritable();
        for await (const piece of pieces(content)) await stream.write(piece as Uint8Array<ArrayBuffer>);
        await stream.close();
      } catch (cause) {
        await stream?.abort().catch(() => {});
        // Asking for the handle has made an empty file.
        if (isNew && stream) await folder.remove(name).catch(() => {});
        throw writeError(file, cause);
      }
    },

    folder(name) {
      const segments = checkName(location, name).split('/');
      return folderAt(`${location}/${name}`, async (create) => {
        let directory = await resolve(create);
        for (const segment of segments) directory = await directory.getDirectoryHandle(segment, { create });
        return directory;
      });
    },

    async remove(name) {
      try {
        const { directory, last } = await descend(name, false);
        await directory.removeEntry(last, { recursive: true });
      } catch (cause) {
        if (!isMissing(cause)) throw writeError(`${location}/${name}`, cause);
      }
    },
  };
  return folder;
}

function sourceOf(name: string, file: File): FileSource {
  return {
    name,
    size: async () => file.size,
    async read(offset, length) {
      checkRange(name, file.size, offset, length);
      try {
        return new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        // The browser's own sign that the file is no longer the one that was opened.
        if (nameOf(cause) === 'NotReadableError' || isMissing(cause)) {
          throw new FileChangedError(name, 'the file was replaced while it was being read', 'Open it again', {
            cause,
          });
        }
        throw new FileReadError(name, 'reading failed', 'Try again', { cause });
      }
    },
  };
}

function writeError(file: string, cause: unknown): unknown {
  switch (nameOf(cause)) {
    case 'QuotaExceededError':
      return new FileWriteError(
        file,
        'the storage that the browser grants this page is full',
        'Free space or delete older checkpoints; what was saved before is untouched',
        'ENOSPC',
        { cause },
      );
    case 'NoModificationAllowedError':
      return new FileWriteError(file, 'the file is in use', 'Close other tabs of this page', 'EBUSY', {
        cause,
      });
    case 'NotAllowedError':
      return new FileWriteError(file, 'writing is not permitted', 'Allow it in the browser', 'EACCES', {
        cause,
      });
    case 'TypeMismatchError':
      return new FileWriteError(
        file,
        'a folder of this name is in the way',
        'Choose another name',
        'EISDIR',
        {
          cause,
        },
      );
    default:
      return cause;
  }
}

/** Also a folder where a file is expected, and the other way round. */
function isMissing(error: unknown): boolean {
  return nameOf(error) === 'NotFoundError' || nameOf(error) === 'TypeMismatchError';
}

function nameOf(error: unknown): string | undefined {
  return error instanceof DOMException ? error.name : undefined;
}
