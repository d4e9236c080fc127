import { isDtype } from '../dtypes.ts';
import { type CheckpointError, UnsupportedDtypeError } from '../errors.ts';
import { type FileSource, memoryFile } from '../folder.ts';
import { recognise } from '../foreign-file.ts';
import { NUMERIC_DTYPES, toFloat32 } from '../numbers.ts';
import { checkTensorRange, entryOf, type Weights } from '../weights.ts';
import { ByteCursor, MoreBytesNeeded } from './byte-cursor.ts';
import { DEQUANTIZED, dequantize } from './dequantize.ts';
import type { GgmlDtype } from './ggml-types.ts';
import { GgufError } from './gguf-error.ts';
import { type GgufHeader, parseGgufHeader } from './gguf-header.ts';
import type { GgufValue } from './gguf-values.ts';

/** A model in one GGUF file. `read` gives the blocks of a quantized tensor as they are. */
export interface GgufFile extends Weights<GgmlDtype> {
  readonly version: 2 | 3;
  /** All metadata, with their types. */
  readonly keyValues: ReadonlyMap<string, GgufValue>;
}

/** Bytes that are read at first; a vocabulary makes most headers a few MiB. */
const FIRST_BYTES = 2 ** 20;
/** The longest metadata and tensor table together. */
const MAX_HEADER_BYTES = 2 ** 28;

/**
 * Opens a GGUF file of version 2 or 3: reads and checks its metadata and tensor table, and later only the tensors
 * that are asked for. `readFloat32` dequantizes Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K, bit for bit as ggml
 * does; F32, F16, BF16 and the others of `Weights` as there.
 * @throws GgufError (which rule is broken and by which tensor), GitLfsPointerError, PickleRefusedError, FileReadError
 */
export async function openGguf(source: FileSource | Uint8Array): Promise<GgufFile> {
  const file = source instanceof Uint8Array ? memoryFile('memory', source) : source;
  const { version, keyValues, tensors } = await readHeader(file);
  const metadata = new Map<string, string>();
  for (const [key, value] of keyValues) if (typeof value === 'string') metadata.set(key, value);
  const weights: GgufFile = {
    name: file.name,
    version,
    keyValues,
    metadata,
    tensors,

    async read(name, range) {
      const entry = entryOf(weights, name);
      if (range) checkTensorRange(file.name, name, entry, range);
      return file.read(entry.byteOffset + (range?.offset ?? 0), range?.length ?? entry.byteLength);
    },

    async readFloat32(name) {
      const { dtype } = entryOf(weights, name);
      const readable: readonly string[] = [...NUMERIC_DTYPES, ...DEQUANTIZED];
      if (!readable.includes(dtype)) throw new UnsupportedDtypeError(file.name, name, dtype, READABLE);
      const bytes = await weights.read(name);
      return (isDtype(dtype) ? toFloat32(dtype, bytes) : dequantize(dtype, bytes))!;
    },
  };
  return weights;
}

const READABLE = ['F32', 'F16', 'BF16', ...DEQUANTIZED];

async function readHeader(file: FileSource): Promise<GgufHeader> {
  const size = await file.size();
  let bytes = await file.read(0, Math.min(size, FIRST_BYTES));
  for (;;) {
    try {
      return parseGgufHeader(new ByteCursor(file.name, bytes, size));
    } catch (error) {
      if (error instanceof GgufError && error.problem === 'magic') throw (await otherFormat(file)) ?? error;
      if (!(error instanceof MoreBytesNeeded)) throw error;
      bytes = await longer(file, bytes, error.end, size);
    }
  }
}

/** At least twice the bytes, so that parsing again from the start costs at most as much again. */
async function longer(file: FileSource, bytes: Uint8Array, end: number, size: number): Promise<Uint8Array> {
  if (end > MAX_HEADER_BYTES) {
    throw new GgufError(
      file.name,
      'count',
      `the metadata and tensor table are longer than ${MAX_HEADER_BYTES} bytes`,
    );
  }
  const length = Math.min(size, MAX_HEADER_BYTES, Math.max(end, 2 * bytes.length));
  const all = new Uint8Array(length);
  all.set(bytes);
  all.set(await file.read(bytes.length, length - bytes.length), bytes.length);
  return all;
}

async function otherFormat(file: FileSource): Promise<CheckpointError | undefined> {
  const refuse = (what: string, hint: string): CheckpointError =>
    new GgufError(file.name, 'magic', `this is ${what}, not GGUF`, [], hint);
  const start = await file.read(0, Math.min(await file.size(), 9));
  if (start[8] === 0x7b) return refuse('a safetensors file', 'Give the folder it belongs to as the model');
  return recognise(file, refuse);
}
