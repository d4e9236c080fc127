/**
 * Safetensors as the Rust library writes them, byte for byte: tensors by falling dtype alignment, then by
 * name; compact JSON; the header padded with spaces to a multiple of 8 bytes.
 *
 * Source: `prepare` in safetensors/src/tensor.rs.
 */
import { DTYPES, type Dtype, dtypeBits, dtypeRank, isDtype } from './dtypes.ts';
import { quoted, SafetensorsError } from './errors.ts';
import { allocate, pieces } from './folder.ts';
import { bytesOf } from './numbers.ts';
import { LENGTH_BYTES, loneSurrogateFree, MAX_HEADER_BYTES } from './safetensors-header.ts';

/** A tensor to write. */
export interface TensorData {
  /** Told from the type of `data` where it is left out (Float32Array is F32, Uint8Array is U8, …). */
  readonly dtype?: Dtype;
  readonly shape: readonly number[];
  /** Little-endian elements, row-major: a typed array of them, or their bytes. */
  readonly data: ArrayBufferView;
}

/** A tensor to write whose bytes are made when their turn comes. */
export interface TensorStream {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** All bytes, or pieces in order. */
  readonly data: () => Uint8Array | Promise<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Tensors by name. */
export type Named<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

/** Values of `__metadata__`, written in the order given. */
export type Metadata = ReadonlyMap<string, string> | Readonly<Record<string, string>>;

/**
 * The bytes of a safetensors file.
 * @param metadata `__metadata__`; left out of the file where it is undefined
 * @throws SafetensorsError (`not-encodable`) where a length is not shape x dtype, or a name cannot be written
 */
export function encodeSafetensors(tensors: Named<TensorData>, metadata?: Metadata): Uint8Array {
  const entries = named(tensors).map(([name, tensor]) => {
    const dtype = tensor.dtype ?? dtypeOf(name, tensor.data);
    const size = byteLength(name, dtype, tensor.shape);
    checkLength(name, dtype, tensor.shape, size, tensor.data.byteLength);
    return { name, dtype, shape: tensor.shape, size, data: tensor.data };
  });
  const { ordered, header, total } = layout(entries, metadata);
  const bytes = allocate(NOWHERE, total);
  bytes.set(header);
  let offset = header.byteLength;
  for (const { data, size } of ordered) {
    bytes.set(bytesOf(data), offset);
    offset += size;
  }
  return bytes;
}

/**
 * The same file piece by piece, for tensors that do not fit in memory together.
 * @returns the file's length, known before any data is asked for, and its pieces
 * @throws SafetensorsError as `encodeSafetensors`; while streaming where a tensor gives more or fewer bytes
 */
export function streamSafetensors(
  tensors: Named<TensorStream>,
  metadata?: Metadata,
): { byteLength: number; pieces: AsyncIterable<Uint8Array> } {
  const entries = named(tensors).map(([name, tensor]) => ({
    ...tensor,
    name,
    size: byteLength(name, tensor.dtype, tensor.shape),
  }));
  const { ordered, header, total } = layout(entries, metadata);
  async function* generate() {
    yield header;
    for (const { name, dtype, shape, data, size } of ordered) {
      let written = 0;
      for await (const piece of pieces(await data())) {
        written += piece.byteLength;
        if (written > size) checkLength(name, dtype, shape, size, written);
        yield piece;
      }
      checkLength(name, dtype, shape, size, written);
    }
  }
  return { byteLength: total, pieces: generate() };
}

const NOWHERE = 'safetensors';

interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly size: number;
}

function layout<E extends Entry>(
  entries: readonly E[],
  metadata: Metadata | undefined,
): { ordered: E[]; header: Uint8Array; total: number } {
  const ordered = [...entries].sort(
    (a, b) => dtypeRank(b.dtype) - dtypeRank(a.dtype) || compareCodePoints(a.name, b.name),
  );
  // Built as text: keys like "1" or "__proto__" in an object would move or vanish.
  const members: string[] = [];
  if (metadata !== undefined) {
    const values = named(metadata).map(([key, value]) => {
      if (typeof value !== 'string') throw notEncodable(`metadata ${quoted(key)} is not a string`);
      checkText(key);
      checkText(value);
      return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
    });
    members.push(`"__metadata__":{${values.join(',')}}`);
  }
  let offset = 0;
  for (const { name, dtype, shape, size } of ordered) {
    members.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${offset},${offset + size}]}`,
    );
    offset += size;
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > MAX_HEADER_BYTES) {
    throw notEncodable(`the header would have ${padded} bytes, and the format allows ${MAX_HEADER_BYTES}`);
  }
  const header = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, LENGTH_BYTES);
  const total = header.byteLength + offset;
  if (!Number.isSafeInteger(total)) throw notEncodable('the file would have more than 2^53 bytes');
  return { ordered, header, total };
}

function named<T>(values: Named<T>): [string, T][] {
  return values instanceof Map ? [...values] : Object.entries(values as Readonly<Record<string, T>>);
}

function byteLength(name: string, dtype: Dtype, shape: readonly number[]): number {
  checkText(name);
  if (name === '__metadata__') throw notEncodable('a tensor may not be named "__metadata__"', name);
  if (!isDtype(dtype)) {
    throw notEncodable(`tensor ${quoted(name)} has dtype ${dtype}; known are ${DTYPES.join(', ')}`, name);
  }
  let bits = dtypeBits(dtype);
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw notEncodable(`tensor ${quoted(name)} has ${size} in its shape`, name);
    }
    bits *= size;
  }
  if (!Number.isSafeInteger(bits) || bits % 8 !== 0) {
    throw notEncodable(
      `tensor ${quoted(name)} of dtype ${dtype} and shape [${shape.join(', ')}] is not a whole number of bytes below 2^50`,
      name,
    );
  }
  return bits / 8;
}

function checkLength(
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  size: number,
  given: number,
): void {
  if (given === size) return;
  throw notEncodable(
    `tensor ${quoted(name)} of dtype ${dtype} and shape [${shape.join(', ')}] needs ${size} bytes and was given ${given}`,
    name,
  );
}

function checkText(text: string): void {
  if (!loneSurrogateFree(text)) throw notEncodable(`${quoted(text)} is not valid Unicode`);
}

function notEncodable(what: string, tensor?: string): SafetensorsError {
  return new SafetensorsError(
    NOWHERE,
    'not-encodable',
    what,
    tensor === undefined ? [] : [tensor],
    'Correct the tensor before saving',
  );
}

const DTYPE_OF_ARRAY: ReadonlyMap<string, Dtype> = new Map([
  ['Float64Array', 'F64'],
  ['Float32Array', 'F32'],
  ['Float16Array', 'F16'],
  ['BigInt64Array', 'I64'],
  ['BigUint64Array', 'U64'],
  ['Int32Array', 'I32'],
  ['Uint32Array', 'U32'],
  ['Int16Array', 'I16'],
  ['Uint16Array', 'U16'],
  ['Int8Array', 'I8'],
  ['Uint8Array', 'U8'],
]);

function dtypeOf(name: string, data: ArrayBufferView): Dtype {
  const tag = Object.prototype.toString.call(data).slice(8, -1);
  const dtype = DTYPE_OF_ARRAY.get(tag);
  if (!dtype) throw notEncodable(`tensor ${quoted(name)} is a ${tag}, whose dtype must be given`, name);
  return dtype;
}

/** The order of Rust and Python: by code point. JavaScript's `<` compares UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
