/**
 * The header of a safetensors file, with every rule of the format, before any memory is taken for data:
 * length at most 100 MB and inside the file, starts with `{`, UTF-8, no repeated keys, offsets that cover
 * the data without hole or overlap, sizes that equal shape x dtype.
 *
 * Source: the format's README and `Metadata::validate` in safetensors/src/tensor.rs. Stricter than the Rust
 * reader in two places where the README is: repeated tensor names and white space before `{` are refused.
 */
import { DTYPES, type Dtype, dtypeBits, isDtype } from './dtypes.ts';
import { quoted, SafetensorsError, type SafetensorsProblem } from './errors.ts';
import { JsonSyntaxError, NonInteger, parseStrictJson, type StrictJson } from './json.ts';
import type { TensorEntry } from './weights.ts';

/** The longest header that the format allows, in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header: its length as u64. */
export const LENGTH_BYTES = 8;

export interface SafetensorsHeader {
  /** `__metadata__`, empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their offsets. */
  readonly tensors: ReadonlyMap<string, TensorEntry<Dtype>>;
}

/** The header's length from the first 8 bytes. @throws SafetensorsError before anything is allocated */
export function headerLength(file: string, first: Uint8Array, fileSize: number): number {
  if (fileSize < LENGTH_BYTES || first.byteLength < LENGTH_BYTES) {
    throw new SafetensorsError(
      file,
      'too-short',
      `the file is too short: ${fileSize} bytes, at least 8 needed`,
    );
  }
  const length = new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new SafetensorsError(
      file,
      'header-too-large',
      `the header claims ${length} bytes, and the format allows ${MAX_HEADER_BYTES}`,
    );
  }
  if (length > BigInt(fileSize - LENGTH_BYTES)) {
    throw new SafetensorsError(
      file,
      'header-length',
      `the header claims ${length} bytes, and the file has only ${fileSize - LENGTH_BYTES} after its length`,
    );
  }
  return Number(length);
}

/**
 * The tensors and metadata that the header's bytes describe.
 * @param fileSize bytes of the whole file: the last tensor must end there
 * @throws SafetensorsError
 */
export function parseHeader(file: string, header: Uint8Array, fileSize: number): SafetensorsHeader {
  const root = parseRoot(file, header);
  const metadata = parseMetadata(file, root.get('__metadata__'));
  const ranges: TensorRange[] = [];
  for (const [name, value] of root) {
    if (name !== '__metadata__') ranges.push(parseTensor(file, name, value));
  }
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const dataStart = LENGTH_BYTES + header.byteLength;
  checkCover(file, ranges, fileSize - dataStart);
  const tensors = new Map<string, TensorEntry<Dtype>>();
  for (const { name, dtype, shape, begin, end } of ranges) {
    tensors.set(name, { dtype, shape, byteOffset: dataStart + begin, byteLength: end - begin });
  }
  return { metadata, tensors };
}

interface TensorRange {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

function parseRoot(file: string, header: Uint8Array): Map<string, StrictJson> {
  if (header[0] !== 0x7b) {
    throw new SafetensorsError(file, 'header-start', 'the header does not start with "{"');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    throw new SafetensorsError(file, 'header-utf8', 'the header is not valid UTF-8');
  }
  try {
    return parseStrictJson(text) as Map<string, StrictJson>;
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    if (error.duplicateKey !== undefined) {
      const key = error.duplicateKey;
      throw new SafetensorsError(file, 'duplicate-key', `the header has the key ${quoted(key)} twice`, [key]);
    }
    throw new SafetensorsError(
      file,
      'header-json',
      `the header is not valid JSON, ${error.message} at character ${error.offset}`,
    );
  }
}

function parseMetadata(file: string, value: StrictJson | undefined): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined || value === null) return metadata;
  const bad = () =>
    new SafetensorsError(file, 'header-form', '__metadata__ is not an object from strings to strings');
  if (!(value instanceof Map)) throw bad();
  for (const [key, text] of value) {
    if (typeof text !== 'string') throw bad();
    metadata.set(key, text);
  }
  return metadata;
}

function parseTensor(file: string, name: string, value: StrictJson): TensorRange {
  const fail = (problem: SafetensorsProblem, what: string): never => {
    throw new SafetensorsError(file, problem, `tensor ${quoted(name)} ${what}`, [name]);
  };
  if (!loneSurrogateFree(name)) fail('header-json', 'has a name that is not valid Unicode');
  if (!(value instanceof Map)) return fail('header-form', 'is not described by an object');
  const dtype = value.get('dtype');
  if (typeof dtype !== 'string') return fail('header-form', 'has no dtype');
  if (!isDtype(dtype)) {
    return fail('unknown-dtype', `has the unknown dtype ${quoted(dtype)}; known are ${DTYPES.join(', ')}`);
  }
  const shape = value.get('shape');
  if (!Array.isArray(shape)) return fail('header-form', 'has no shape');
  const offsets = value.get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2) {
    return fail('header-form', 'has no data_offsets of two numbers');
  }
  const dimensions = shape.map((size) => {
    const integer = asInteger(size);
    return integer !== undefined && integer >= 0n
      ? integer
      : fail('shape', `has ${shown(size)} in its shape, which must hold whole numbers from 0`);
  });
  const [begin, end] = offsets.map((offset) => {
    const integer = asInteger(offset);
    return integer !== undefined && integer >= 0n
      ? integer
      : fail('header-form', `has ${shown(offset)} in its data_offsets`);
  }) as [bigint, bigint];
  if (end < begin) fail('size-mismatch', `ends at ${end}, before its begin at ${begin}`);
  const bits =
    sizeInBits(dimensions, dtype) ?? fail('overflow', `is too large: shape [${dimensions.join(', ')}]`);
  if (bits % 8n !== 0n) {
    fail('misaligned', `of dtype ${dtype} and shape [${dimensions.join(', ')}] does not end on a byte`);
  }
  if (bits / 8n !== end - begin) {
    fail(
      'size-mismatch',
      `of dtype ${dtype} and shape [${dimensions.join(', ')}] needs ${bits / 8n} bytes, and its data_offsets span ${end - begin}`,
    );
  }
  if (end > MAX_OFFSET || dimensions.some((size) => size > MAX_OFFSET)) {
    fail('overflow', 'lies beyond 2^53 bytes');
  }
  return { name, dtype, shape: dimensions.map(Number), begin: Number(begin), end: Number(end) };
}

const MAX_U64 = (1n << 64n) - 1n;
const MAX_OFFSET = BigInt(Number.MAX_SAFE_INTEGER);

/** undefined where the Rust reader's 64-bit arithmetic would overflow. */
function sizeInBits(shape: readonly bigint[], dtype: Dtype): bigint | undefined {
  let count = 1n;
  for (const size of shape) {
    count *= size;
    if (count > MAX_U64) return undefined;
  }
  const bits = count * BigInt(dtypeBits(dtype));
  return bits > MAX_U64 ? undefined : bits;
}

function checkCover(file: string, ranges: readonly TensorRange[], dataBytes: number): void {
  let end = 0;
  let previous: string | undefined;
  for (const range of ranges) {
    if (range.begin !== end) {
      const overlap = range.begin < end;
      const before = previous === undefined ? 'the start of the data' : `tensor ${quoted(previous)}`;
      throw new SafetensorsError(
        file,
        overlap ? 'overlap' : 'hole',
        overlap
          ? `tensor ${quoted(range.name)} begins at ${range.begin}, inside ${before}, which ends at ${end}`
          : `bytes ${end} to ${range.begin}, between ${before} and tensor ${quoted(range.name)}, belong to no tensor`,
        previous === undefined ? [range.name] : [previous, range.name],
      );
    }
    end = range.end;
    previous = range.name;
  }
  const last = previous === undefined ? [] : [previous];
  if (end > dataBytes) {
    throw new SafetensorsError(
      file,
      'truncated',
      `the file is cut short: its tensors need ${end} bytes of data and it has ${dataBytes}`,
      last,
      'Download or save the file again',
    );
  }
  if (end < dataBytes) {
    throw new SafetensorsError(
      file,
      'trailing-bytes',
      `${dataBytes - end} bytes follow the last tensor, where the file must end`,
      last,
    );
  }
}

function asInteger(value: StrictJson): bigint | undefined {
  return typeof value === 'number' || typeof value === 'bigint' ? BigInt(value) : undefined;
}

function shown(value: StrictJson): string {
  if (value instanceof NonInteger) return quoted(value.text).slice(1, -1);
  if (typeof value === 'string') return quoted(value);
  return value instanceof Map ? 'an object' : Array.isArray(value) ? 'a list' : String(value);
}

/** Whether a string can be written as UTF-8. */
export function loneSurrogateFree(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
