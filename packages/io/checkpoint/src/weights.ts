import type { Dtype } from './dtypes.ts';
import {
  CheckpointError,
  quoted,
  type ShapeMismatch,
  ShapeMismatchError,
  TensorMissingError,
} from './errors.ts';
import type { BlockDtype } from './gguf/ggml-types.ts';

/** Where a tensor is in its file and how to read it. `D`: dtypes of safetensors, or of GGUF, which shares its plain ones. */
export interface TensorEntry<D extends Dtype | BlockDtype = Dtype | BlockDtype> {
  readonly dtype: D;
  /** `[]` is a scalar; a dimension may be 0. */
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Part of a tensor's bytes. */
export interface ByteRange {
  /** From the tensor's first byte. */
  readonly offset: number;
  readonly length: number;
}

/** Named tensors in one file or many, read one at a time. */
export interface Weights<D extends Dtype | BlockDtype = Dtype | BlockDtype> {
  /** Where they are, for messages. */
  readonly name: string;
  /** `__metadata__` of the file (of the first file where there are several); of GGUF, the values that are texts. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorEntry<D>>;
  /** The bytes of a tensor, or of a range of it, as they are in the file. @throws TensorMissingError */
  read(name: string, range?: ByteRange): Promise<Uint8Array>;
  /**
   * The numbers of a tensor as float32: exact for F32, F16, BF16, F8, small integers and BOOL; F64, wide
   * integers and quantized blocks are rounded to nearest. @throws TensorMissingError, UnsupportedDtypeError
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
export function entryOf<D extends Dtype | BlockDtype>(
  weights: Pick<Weights<D>, 'name' | 'tensors'>,
  name: string,
): TensorEntry<D> {
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
