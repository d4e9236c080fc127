/**
 * Everything of a GGUF file before its data: version, metadata, tensor table, alignment; each count, length,
 * shape and offset is checked against the file's size before memory is taken for it.
 *
 * Source: docs/gguf.md of ggml and `gguf_init_from_file_impl` in gguf.cpp, versions 2 and 3, little-endian.
 */
import { quoted } from '../errors.ts';
import type { TensorEntry } from '../weights.ts';
import type { ByteCursor } from './byte-cursor.ts';
import { blockSize, type GgmlDtype, ggmlDtype } from './ggml-types.ts';
import { GgufError, type GgufProblem } from './gguf-error.ts';
import { type GgufValue, readName, ValueReader } from './gguf-values.ts';

export interface GgufHeader {
  readonly version: 2 | 3;
  readonly keyValues: ReadonlyMap<string, GgufValue>;
  /** In the order of the file's table. */
  readonly tensors: ReadonlyMap<string, TensorEntry<GgmlDtype>>;
}

const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 4;
/** The bytes of the shortest key with a value, and of the shortest tensor of the table. */
const LEAST_KEY_VALUE = 8 + 4 + 1;
const LEAST_TENSOR = 8 + 4 + 4 + 8;
/** More are a damaged file; each costs an object. */
const MAX_KEYS = 2 ** 17;
const MAX_TENSORS = 2 ** 20;

/** @throws GgufError, MoreBytesNeeded */
export function parseGgufHeader(cursor: ByteCursor): GgufHeader {
  const { file } = cursor;
  const fileSize = cursor.left;
  const magic = String.fromCharCode(...cursor.take(4, 'the magic number'));
  if (magic !== 'GGUF') {
    throw new GgufError(file, 'magic', `the file begins with ${quoted(magic)}, not "GGUF"`);
  }
  const version = readVersion(cursor);
  const tensorCount = readCount(cursor, 'tensors', LEAST_TENSOR, MAX_TENSORS);
  const keyCount = readCount(cursor, 'keys', LEAST_KEY_VALUE, MAX_KEYS);

  const keyValues = new Map<string, GgufValue>();
  const values = new ValueReader(cursor);
  for (let i = 0; i < keyCount; i++) {
    const key = readName(cursor, `key ${i + 1} of ${keyCount}`);
    if (key === '') throw new GgufError(file, 'key', `key ${i + 1} of ${keyCount} is empty`);
    if (keyValues.has(key)) {
      throw new GgufError(file, 'duplicate-key', `the metadata has the key ${quoted(key)} twice`);
    }
    keyValues.set(key, values.read(key));
  }
  const alignment = alignmentOf(file, keyValues);

  const table = new Map<string, TensorEntry<GgmlDtype>>();
  for (let i = 0; i < tensorCount; i++) {
    const name = readName(cursor, `the name of tensor ${i + 1} of ${tensorCount}`);
    if (name === '')
      throw new GgufError(file, 'tensor-name', `tensor ${i + 1} of ${tensorCount} has no name`);
    if (table.has(name)) {
      throw new GgufError(file, 'duplicate-tensor', `the tensor ${quoted(name)} is there twice`, [name]);
    }
    table.set(name, readTensor(cursor, name, alignment));
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  checkPlaces(file, table, fileSize - dataStart);
  const tensors = new Map(
    [...table].map(([name, entry]) => [name, { ...entry, byteOffset: dataStart + entry.byteOffset }]),
  );
  return { version, keyValues, tensors };
}

function readVersion(cursor: ByteCursor): 2 | 3 {
  const version = cursor.u32('the version');
  if (version === 2 || version === 3) return version;
  // 2 or 3 with its bytes the other way round.
  if (version === 0x02000000 || version === 0x03000000) {
    throw new GgufError(
      cursor.file,
      'big-endian',
      'the file is big-endian, which is not read here',
      [],
      'Convert it with `gguf-convert-endian FILE little` of the Python package gguf',
    );
  }
  throw new GgufError(
    cursor.file,
    'version',
    `the file is of version ${version} of GGUF, and versions 2 and 3 are read`,
    [],
    'Convert it with a present-day llama.cpp, or update Graft',
  );
}

function readCount(cursor: ByteCursor, of: string, leastBytes: number, most: number): number {
  const count = cursor.u64(`the number of ${of}`);
  const possible = Math.min(most, Math.floor(cursor.left / leastBytes));
  if (count > BigInt(possible)) {
    throw new GgufError(
      cursor.file,
      'count',
      `the file claims ${count} ${of}, and at most ${possible} are possible in its size`,
    );
  }
  return Number(count);
}

function alignmentOf(file: string, keyValues: ReadonlyMap<string, GgufValue>): number {
  const value = keyValues.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof value !== 'number' || !(value >= 1) || !Number.isInteger(Math.log2(value)) || value > 2 ** 31) {
    const shown = typeof value === 'number' ? value : `of another type`;
    throw new GgufError(file, 'alignment', `general.alignment is ${shown}, and must be a power of two`);
  }
  return value;
}

/** A row of the tensor table; its offset still counts from the data's start. */
function readTensor(cursor: ByteCursor, name: string, alignment: number): TensorEntry<GgmlDtype> {
  const fail = (problem: GgufProblem, what: string): never => {
    throw new GgufError(cursor.file, problem, `tensor ${quoted(name)} ${what}`, [name]);
  };
  const what = `the table's row of tensor ${quoted(name)}`;
  const rank = cursor.u32(what);
  if (rank > MAX_DIMENSIONS)
    fail('shape', `has ${rank} dimensions, and at most ${MAX_DIMENSIONS} are allowed`);
  const dimensions = Array.from({ length: rank }, () => cursor.u64(what));
  const number = cursor.u32(what);
  const dtype = ggmlDtype(number) ?? fail('unknown-dtype', `has the unknown type ${number}`);
  const { elements, bytes } = blockSize(dtype);
  const count = dimensions.reduce((product, size) => product * size, 1n);
  const shown = `[${dimensions.toReversed().join(', ')}]`;
  if (dimensions.some((size) => size > MAX_SAFE) || count * BigInt(bytes) > MAX_SAFE) {
    fail('overflow', `is too large: shape ${shown}`);
  }
  if ((dimensions[0] ?? 1n) % BigInt(elements) !== 0n) {
    fail('shape', `of ${dtype} and shape ${shown} has rows that are not whole blocks of ${elements}`);
  }
  const offset = cursor.u64(what);
  if (offset > MAX_SAFE) fail('offset', `lies at ${offset}, beyond 2^53`);
  if (offset % BigInt(alignment) !== 0n) {
    fail('offset', `lies at ${offset}, which is not a multiple of the alignment, ${alignment}`);
  }
  return {
    dtype,
    // The file has the fastest dimension first.
    shape: dimensions.toReversed().map(Number),
    byteOffset: Number(offset),
    byteLength: byteLengthOf(Number(count), dtype),
  };
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

const byteLengthOf = (count: number, dtype: GgmlDtype): number => {
  const { elements, bytes } = blockSize(dtype);
  return (count / elements) * bytes;
};

function checkPlaces(
  file: string,
  table: ReadonlyMap<string, TensorEntry<GgmlDtype>>,
  dataBytes: number,
): void {
  let end = 0;
  let previous = '';
  const placed = [...table].sort(
    ([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength,
  );
  for (const [name, { byteOffset, byteLength }] of placed) {
    if (byteOffset < end) {
      throw new GgufError(
        file,
        'overlap',
        `tensor ${quoted(name)} begins at ${byteOffset}, inside ${quoted(previous)}, which ends at ${end}`,
        [previous, name],
      );
    }
    end = byteOffset + byteLength;
    previous = name;
  }
  if (table.size > 0 && end > dataBytes) {
    throw new GgufError(
      file,
      'truncated',
      `the file is cut short: its tensors need ${end} bytes of data and it has ${Math.max(0, dataBytes)}`,
      [previous],
      'Download the file again',
    );
  }
}
