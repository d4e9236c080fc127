/** Strings and typed values of a GGUF file's metadata, with bounds on what a hostile file can make us hold. */
import { quoted } from '../errors.ts';
import type { ByteCursor } from './byte-cursor.ts';
import { GgufError } from './gguf-error.ts';

/** Numbers of an array in the metadata. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A value of the metadata. 64-bit integers are numbers where they are exact as such. */
export type GgufValue =
  | string
  | boolean
  | number
  | bigint
  | GgufNumbers
  | readonly string[]
  | readonly boolean[]
  | readonly GgufValue[];

/** The longest key or tensor name: the format's own bound for keys. */
const MAX_NAME_BYTES = 65535;
/** The longest string: chat templates and licences are far below. */
const MAX_STRING_BYTES = 2 ** 26;
/** Strings, flags and arrays that all metadata may hold together; the largest vocabularies have under 2^20. */
export const MAX_OBJECTS = 2 ** 23;
const MAX_NESTING = 4;

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const NUMBER_TYPES: Readonly<
  Record<number, { new (buffer: ArrayBuffer): GgufNumbers; readonly BYTES_PER_ELEMENT: number }>
> = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
};

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A key or a tensor's name. */
export function readName(cursor: ByteCursor, what: string): string {
  return readString(cursor, what, MAX_NAME_BYTES);
}

function readString(cursor: ByteCursor, what: string, most = MAX_STRING_BYTES): string {
  const length = cursor.u64(what);
  if (length > BigInt(Math.min(most, cursor.left))) {
    throw new GgufError(
      cursor.file,
      'string-length',
      `${what} claims ${length} bytes, and at most ${Math.min(most, cursor.left)} are possible there`,
    );
  }
  try {
    return utf8.decode(cursor.take(Number(length), what));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new GgufError(cursor.file, 'utf8', `${what} is not valid UTF-8`);
  }
}

/** Reads values and counts the objects that they make. */
export class ValueReader {
  readonly #cursor: ByteCursor;
  #objects = 0;

  constructor(cursor: ByteCursor) {
    this.#cursor = cursor;
  }

  /** The value of a key, its type first. @throws GgufError */
  read(key: string): GgufValue {
    const what = `the value of ${quoted(key)}`;
    return this.#value(this.#cursor.u32(what), what, 0);
  }

  #value(type: number, what: string, depth: number): GgufValue {
    const cursor = this.#cursor;
    switch (type) {
      case BOOL:
        return this.#flag(what);
      case STRING:
        this.#count(1, what);
        return readString(cursor, what);
      case ARRAY:
        return this.#array(what, depth + 1);
      default: {
        const one = this.#numbers(type, 1, what)[0]!;
        if (typeof one === 'number') return one;
        const number = Number(one);
        return Number.isSafeInteger(number) ? number : one;
      }
    }
  }

  #array(what: string, depth: number): GgufValue {
    const cursor = this.#cursor;
    if (depth > MAX_NESTING) {
      throw new GgufError(cursor.file, 'nesting', `${what} nests arrays more than ${MAX_NESTING} deep`);
    }
    const type = cursor.u32(what);
    if (type !== STRING && type !== ARRAY && type !== BOOL && !(type in NUMBER_TYPES)) {
      throw unknownType(cursor.file, what, type);
    }
    const claimed = cursor.u64(what);
    // Each element has at least one byte in the file, a string eight, an array twelve.
    const least = type === STRING ? 8 : type === ARRAY ? 12 : (NUMBER_TYPES[type]?.BYTES_PER_ELEMENT ?? 1);
    if (claimed * BigInt(least) > BigInt(cursor.left)) {
      throw new GgufError(
        cursor.file,
        'array-length',
        `${what} claims ${claimed} elements, and the file has only ${cursor.left} bytes after it`,
      );
    }
    const length = Number(claimed);
    if (type in NUMBER_TYPES) return this.#numbers(type, length, what);
    this.#count(length + 1, what);
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) {
      if (type === STRING) values.push(readString(cursor, what));
      else if (type === BOOL) values.push(this.#flag(what));
      else values.push(this.#value(type, what, depth));
    }
    return values;
  }

  #numbers(type: number, length: number, what: string): GgufNumbers {
    const Numbers = NUMBER_TYPES[type];
    if (!Numbers)
      throw new GgufError(this.#cursor.file, 'value-type', `${what} has the unknown type ${type}`);
    const bytes = this.#cursor.take(length * Numbers.BYTES_PER_ELEMENT, what);
    return new Numbers(bytes.slice().buffer);
  }

  #flag(what: string): boolean {
    const byte = this.#cursor.u8(what);
    if (byte > 1) throw new GgufError(this.#cursor.file, 'value', `${what} is ${byte}, and must be 0 or 1`);
    return byte === 1;
  }

  #count(objects: number, what: string): void {
    this.#objects += objects;
    if (this.#objects > MAX_OBJECTS) {
      throw new GgufError(
        this.#cursor.file,
        'array-length',
        `the metadata up to ${what} holds more than ${MAX_OBJECTS} strings and arrays`,
      );
    }
  }
}

const unknownType = (file: string, what: string, type: number): GgufError =>
  new GgufError(file, 'value-type', `${what} has the unknown type ${type}`);
