import { FileMissingError } from './errors.ts';
import { checkName, type Folder, memoryFile, pieces, readAllText } from './folder.ts';

/** Files by their full path inside the folder. */
export type MemoryFiles = Map<string, Uint8Array>;

/**
 * A folder in memory, in any runtime: for tests, for downloads, for adapters on their way to the user.
 * @param files what it holds at first; the map stays the folder's own store and can be read back
 */
export function memoryFolder(files: MemoryFiles = new Map(), location = 'memory', prefix = ''): Folder {
  const path = (name: string) => prefix + checkName(location, name);
  const folder: Folder = {
    location,

    async list() {
      const names = new Set<string>();
      for (const key of files.keys()) {
        if (key.startsWith(prefix)) names.add(key.slice(prefix.length).split('/')[0]!);
      }
      return [...names].sort();
    },

    async has(name) {
      return files.has(path(name));
    },

    async open(name) {
      const bytes = files.get(path(name));
      if (!bytes) throw missing(location, name);
      return memoryFile(`${location}/${name}`, bytes);
    },

    async readText(name, maxBytes) {
      return readAllText(await folder.open(name), maxBytes);
    },

    async writeAtomic(name, content) {
      const key = path(name);
      const parts: Uint8Array[] = [];
      let length = 0;
      for await (const piece of pieces(content)) {
        // A streaming writer may reuse its buffer.
        parts.push(piece.slice());
        length += piece.byteLength;
      }
      const bytes = new Uint8Array(length);
      let offset = 0;
      for (const part of parts) {
        bytes.set(part, offset);
        offset += part.byteLength;
      }
      files.set(key, bytes);
    },

    folder(name) {
      return memoryFolder(files, `${location}/${checkName(location, name)}`, `${path(name)}/`);
    },

    async remove(name) {
      const key = path(name);
      for (const other of [...files.keys()]) {
        if (other === key || other.startsWith(`${key}/`)) files.delete(other);
      }
    },

    async rename(from, to) {
      const source = path(from);
      const target = path(to);
      const moved = [...files].filter(([key]) => key === source || key.startsWith(`${source}/`));
      if (moved.length === 0) throw missing(location, from);
      for (const [key, bytes] of moved) {
        files.delete(key);
        files.set(target + key.slice(source.length), bytes);
      }
    },
  };
  return folder;
}

function missing(location: string, name: string): FileMissingError {
  return new FileMissingError(`${location}/${name}`, 'the file does not exist', 'Check the folder');
}
