import {
  CheckpointError,
  quoted,
  type ShapeMismatch,
  ShapeMismatchError,
  TensorMissingError,
} from './errors.ts';
import type { TensorEntry } from './safetensors-header.ts';

/** Part of a tensor's bytes. */
export interface ByteRange {
  /** From the tensor's first byte. */
  readonly offset: number;
  readonly length: number;
}

/** Named tensors in one file or many, read one at a time. */
export interface Weights {
  /** Where they are, for messages. */
  readonly name: string;
  /** `__metadata__` of the file (of the first file where there are several). */
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** The bytes of a tensor, or of a range of it, as they are in the file. @throws TensorMissingError */
  read(name: string, range?: ByteRange): Promise<Uint8Array>;
  /**
   * The numbers of a tensor as float32: exact for F32, F16, BF16, F8, small integers and BOOL; F64 and
   * wide integers are rounded to nearest. @throws TensorMissingError, UnsupportedDtypeError
   */
  readFloat32(name: string): Promise<Float32Array>;
}

/**
 * Checks that every expected tensor is there in the expected shape; others may be there too.
 * @throws TensorMissingError, ShapeMismatchError: with all names as fields and up to five in the message
 */
export function checkShapes(
  weights: Weights,
  expected: Iterable<readonly [string, readonly number[]]>,
): void {
  const missing: string[] = [];
  const mismatches: ShapeMismatch[] = [];
  for (const [tensor, shape] of expected) {
    const entry = weights.tensors.get(tensor);
    if (!entry) missing.push(tensor);
    else if (entry.shape.length !== shape.length || entry.shape.some((size, axis) => size !== shape[axis])) {
      mismatches.push({ tensor, expected: shape, got: entry.shape });
    }
  }
  if (mismatches.length > 0) throw new ShapeMismatchError(weights.name, mismatches);
  if (missing.length > 0) {
    throw new TensorMissingError(
      weights.name,
      missing,
      'The weights are not those of the architecture in config.json, or the download is incomplete',
    );
  }
}

/** @throws TensorMissingError that names what is near */
export function entryOf(weights: Pick<Weights, 'name' | 'tensors'>, name: string): TensorEntry {
  const entry = weights.tensors.get(name);
  if (entry) return entry;
  const some = [...weights.tensors.keys()].slice(0, 3).map(quoted).join(', ');
  throw new TensorMissingError(weights.name, [name], some ? `It holds ${some}, …` : 'It holds no tensors');
}

/** @throws CheckpointError where the range is not inside the tensor */
export function checkTensorRange(file: string, name: string, entry: TensorEntry, range: ByteRange): void {
  const { offset, length } = range;
  const inside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= entry.byteLength;
  if (!inside) {
    throw new CheckpointError(
      file,
      `bytes ${offset} to ${offset + length} are outside tensor ${quoted(name)} of ${entry.byteLength} bytes`,
      'Ask for a range inside the tensor',
    );
  }
}
