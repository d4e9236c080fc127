import type { Dtype } from './dtypes.ts';
import { SafetensorsError, UnsupportedDtypeError } from './errors.ts';
import { type FileSource, memoryFile } from './folder.ts';
import { recognise } from './foreign-file.ts';
import { NUMERIC_DTYPES, toFloat32 } from './numbers.ts';
import { headerLength, LENGTH_BYTES, parseHeader, type SafetensorsHeader } from './safetensors-header.ts';
import { checkTensorRange, entryOf, type Weights } from './weights.ts';

/**
 * Opens a safetensors file: reads and checks its header, and later only the tensors that are asked for.
 * @throws SafetensorsError (which rule is broken and by which tensor), GitLfsPointerError,
 *   PickleRefusedError, FileReadError
 */
export async function openSafetensors(source: FileSource | Uint8Array): Promise<Weights<Dtype>> {
  const file = source instanceof Uint8Array ? memoryFile('memory', source) : source;
  const header = await readHeader(file);
  const weights: Weights<Dtype> = {
    name: file.name,
    metadata: header.metadata,
    tensors: header.tensors,

    async read(name, range) {
      const entry = entryOf(weights, name);
      if (range) checkTensorRange(file.name, name, entry, range);
      return file.read(entry.byteOffset + (range?.offset ?? 0), range?.length ?? entry.byteLength);
    },

    async readFloat32(name) {
      const { dtype } = entryOf(weights, name);
      if (!NUMERIC_DTYPES.includes(dtype)) {
        throw new UnsupportedDtypeError(file.name, name, dtype, NUMERIC_DTYPES);
      }
      return toFloat32(dtype, await weights.read(name))!;
    },
  };
  return weights;
}

async function readHeader(file: FileSource): Promise<SafetensorsHeader> {
  const size = await file.size();
  const refuse = (what: string, hint: string): SafetensorsError =>
    new SafetensorsError(file.name, 'header-start', `this is ${what}, not safetensors`, [], hint);
  try {
    const first = await file.read(0, Math.min(size, LENGTH_BYTES));
    const length = headerLength(file.name, first, size);
    return parseHeader(file.name, await file.read(LENGTH_BYTES, length), size);
  } catch (error) {
    // Only a file that fails as safetensors is looked at as something else: any first bytes are a valid length.
    const earlyFailure = error instanceof SafetensorsError && EARLY.has(error.problem);
    throw (earlyFailure ? await recognise(file, refuse) : undefined) ?? error;
  }
}

const EARLY: ReadonlySet<string> = new Set([
  'too-short',
  'header-too-large',
  'header-length',
  'header-start',
]);
