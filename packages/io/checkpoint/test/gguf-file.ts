/** Writes GGUF files by hand, also such that no honest writer makes. */
const encoder = new TextEncoder();

const concat = (parts: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

const number = (bytes: number, set: (view: DataView) => void): Uint8Array => {
  const view = new DataView(new ArrayBuffer(bytes));
  set(view);
  return new Uint8Array(view.buffer);
};

export const u32 = (value: number): Uint8Array => number(4, (view) => view.setUint32(0, value, true));
export const u64 = (value: number | bigint): Uint8Array =>
  number(8, (view) => view.setBigUint64(0, BigInt(value), true));
export const f32 = (value: number): Uint8Array => number(4, (view) => view.setFloat32(0, value, true));
export const text = (value: string, claimed?: number | bigint): Uint8Array => {
  const bytes = encoder.encode(value);
  return concat([u64(claimed ?? bytes.length), bytes]);
};

/** A value with its type in front. */
export const value = {
  u32: (value: number) => concat([u32(4), u32(value)]),
  f32: (value: number) => concat([u32(6), f32(value)]),
  flag: (value: number) => concat([u32(7), Uint8Array.of(value)]),
  text: (value: string, claimed?: number | bigint) => concat([u32(8), text(value, claimed)]),
  array: (type: number, elements: readonly Uint8Array[], claimed?: number | bigint) =>
    concat([u32(9), u32(type), u64(claimed ?? elements.length), ...elements]),
};

export interface TensorRow {
  readonly name: string;
  /** Fastest first, as in the file. */
  readonly dimensions: readonly (number | bigint)[];
  readonly type?: number;
  readonly offset?: number | bigint;
  readonly rank?: number;
}

export interface FileParts {
  readonly magic?: string;
  readonly version?: number;
  readonly keys?: readonly (readonly [string | Uint8Array, Uint8Array])[];
  readonly keyCount?: number | bigint;
  readonly tensors?: readonly TensorRow[];
  readonly tensorCount?: number | bigint;
  readonly alignment?: number;
  /** Bytes after the aligned end of the header. */
  readonly data?: number;
}

export function ggufFile(parts: FileParts = {}): Uint8Array {
  const { keys = [], tensors = [] } = parts;
  const header = concat([
    encoder.encode(parts.magic ?? 'GGUF'),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.keyCount ?? keys.length),
    ...keys.flatMap(([key, bytes]) => [typeof key === 'string' ? text(key) : key, bytes]),
    ...tensors.flatMap(({ name, dimensions, type = 0, offset = 0, rank }) => [
      text(name),
      u32(rank ?? dimensions.length),
      ...dimensions.map(u64),
      u32(type),
      u64(offset),
    ]),
  ]);
  const alignment = parts.alignment ?? 32;
  const data = parts.data ?? 0;
  const start = Math.ceil(header.length / alignment) * alignment;
  const file = new Uint8Array(data > 0 ? start + data : header.length);
  file.set(header);
  for (let i = start; i < file.length; i++) file[i] = i - start;
  return file;
}
