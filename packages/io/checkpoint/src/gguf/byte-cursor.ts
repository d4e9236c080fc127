import { GgufError } from './gguf-error.ts';

/** Thrown where parsing needs bytes that the file has but that are not read yet. */
export class MoreBytesNeeded {
  /** From the start of the file. */
  readonly end: number;

  constructor(end: number) {
    this.end = end;
  }
}

/** Walks through the first bytes of a file. Every read is checked against the file's size before memory is taken. */
export class ByteCursor {
  readonly file: string;
  readonly #fileSize: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** @param bytes the file from its start, not necessarily all of it */
  constructor(file: string, bytes: Uint8Array, fileSize: number) {
    this.file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileSize = fileSize;
  }

  get position(): number {
    return this.#at;
  }

  /** Bytes of the file that follow. */
  get left(): number {
    return this.#fileSize - this.#at;
  }

  /** The next `length` bytes, in the memory of the cursor. @throws GgufError (`truncated`), MoreBytesNeeded */
  take(length: number, what: string): Uint8Array {
    const start = this.#advance(length, what);
    return this.#bytes.subarray(start, start + length);
  }

  u8(what: string): number {
    return this.#bytes[this.#advance(1, what)]!;
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#advance(4, what), true);
  }

  u64(what: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, what), true);
  }

  #advance(length: number, what: string): number {
    const start = this.#at;
    const end = start + length;
    if (end > this.#fileSize) {
      throw new GgufError(
        this.file,
        'truncated',
        `the file ends inside ${what}: ${length} bytes are needed at ${start} and it has ${this.#fileSize}`,
        [],
        'Download the file again',
      );
    }
    if (end > this.#bytes.byteLength) throw new MoreBytesNeeded(end);
    this.#at = end;
    return start;
  }
}
