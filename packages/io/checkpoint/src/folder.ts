import { CheckpointError, FileReadError, UnsafePathError } from './errors.ts';

/** The bytes of one file, read by ranges. */
export interface FileSource {
  /** Where the file is, for messages. */
  readonly name: string;
  /** Bytes in the file. */
  size(): Promise<number>;
  /**
   * Exactly `length` bytes from `offset`. The caller owns the array.
   * @throws FileReadError where the file has fewer; FileChangedError where it was replaced meanwhile.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** What a file is made of: all bytes at once, or pieces in order. */
export type FileContent = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * A folder, wherever it is. Names are relative, with `/` between segments, and never lead out of the
 * folder: `checkName` holds for every method.
 */
export interface Folder {
  /** Where the folder is, for messages. */
  readonly location: string;
  /** Names directly inside, files and folders, sorted. Empty where the folder does not exist. */
  list(): Promise<string[]>;
  /** Whether a file of this name is there. */
  has(name: string): Promise<boolean>;
  /** @throws FileMissingError */
  open(name: string): Promise<FileSource>;
  /** The file as UTF-8 text. @throws FileMissingError, FileReadError (too large, or not UTF-8) */
  readText(name: string, maxBytes?: number): Promise<string>;
  /**
   * Puts a whole file in place or changes nothing: a reader sees the old bytes or the new ones, also
   * after a crash. Makes the folder where it is missing. @throws FileWriteError
   */
  writeAtomic(name: string, content: FileContent): Promise<void>;
  /** A folder inside this one; it need not exist yet. */
  folder(name: string): Folder;
  /** Removes a file, or a folder with all it holds; nothing where it is missing. */
  remove(name: string): Promise<void>;
  /** Renames a file or folder in one step. Missing where the place cannot do that. */
  rename?(from: string, to: string): Promise<void>;
}

/** The longest text file that `readText` takes unless told otherwise, in bytes. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** `name` itself, where it stays inside the folder at `location`. @throws UnsafePathError */
export function checkName(location: string, name: string): string {
  const refuse = (why: string) => new UnsafePathError(location, name, why);
  if (typeof name !== 'string' || name === '') throw refuse('which is empty');
  if (name.includes('\0')) throw refuse('which holds a NUL character');
  if (name.includes('\\')) throw refuse('which holds a backslash');
  if (name.includes(':')) throw refuse('which holds a drive or a URL scheme');
  if (name.startsWith('/')) throw refuse('which is absolute');
  for (const segment of name.split('/')) {
    if (segment === '' || segment === '.' || segment === '..') {
      throw refuse(`which holds the segment ${JSON.stringify(segment)}`);
    }
  }
  return name;
}

/** The pieces of `content`, in order. */
export async function* pieces(content: FileContent): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) yield content;
  else yield* content;
}

/** All bytes of a file. @throws FileReadError where it is larger than `maxBytes` */
export async function readAll(source: FileSource, maxBytes = Number.MAX_SAFE_INTEGER): Promise<Uint8Array> {
  const size = await source.size();
  if (size > maxBytes) {
    throw new FileReadError(
      source.name,
      `the file has ${size} bytes, more than the ${maxBytes} allowed for a file of its kind`,
      'Check that it is the right file',
    );
  }
  return source.read(0, size);
}

/** All of a file as text. @throws FileReadError where it is larger than `maxBytes` or not UTF-8 */
export async function readAllText(source: FileSource, maxBytes = MAX_TEXT_BYTES): Promise<string> {
  const bytes = await readAll(source, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FileReadError(source.name, 'the text is not valid UTF-8', 'Save the file as UTF-8', { cause });
  }
}

/** `length` bytes of memory, or an error that names the file. */
export function allocate(file: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new CheckpointError(
      file,
      `${length} bytes do not fit in memory at once`,
      'Read the tensor in smaller ranges',
      { cause },
    );
  }
}

/** A file that is already in memory. */
export function memoryFile(name: string, bytes: Uint8Array): FileSource {
  return {
    name,
    size: async () => bytes.byteLength,
    read: async (offset, length) => {
      checkRange(name, bytes.byteLength, offset, length);
      return bytes.slice(offset, offset + length);
    },
  };
}

/** @throws FileReadError where the range is not inside a file of `size` bytes */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0)) {
    throw new FileReadError(name, `[${offset}, +${length}) is not a range of bytes`, 'Give whole numbers');
  }
  if (offset + length > size) {
    throw new FileReadError(
      name,
      `bytes ${offset} to ${offset + length} were asked of a file of ${size} bytes`,
      'The file is cut short: download or save it again',
    );
  }
}
