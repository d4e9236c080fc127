import { CheckpointError, type GgufFile } from '@graftjs/checkpoint';
import type { GgufKeys } from './gguf-keys.ts';
import type { GgufArchitecture } from './gguf-names.ts';

type Entry = GgufFile['tensors'] extends ReadonlyMap<string, infer E> ? E : never;

/** How a tensor lies in transformers, where a GGUF file has it otherwise. */
export interface GgufLayout {
  /** What `tensors` says of it. */
  entry(entry: Entry): Entry;
  /** The bytes that `read` gives, of a whole tensor. @param entry the file's */
  bytes(
    stored: () => Promise<Uint8Array>,
    values: () => Promise<Float32Array>,
    entry: Entry,
  ): Promise<Uint8Array>;
  values(values: Float32Array, entry: Entry): Float32Array;
}

/** The layout of a tensor by its name in transformers; undefined: it lies as there. */
export function ggufLayout(arch: GgufArchitecture, name: string, keys: GgufKeys): GgufLayout | undefined {
  if (arch === 'llama') {
    const heads = keys.needed('{arch}.attention.head_count');
    if (name.includes('.self_attn.q_proj.')) return headHalves(keys.file, name, heads);
    const kvHeads = keys.number('{arch}.attention.head_count_kv') ?? heads;
    return name.includes('.self_attn.k_proj.') ? headHalves(keys.file, name, kvHeads) : undefined;
  }
  if (arch === 'gpt2') return /\.(c_attn|c_proj|c_fc)\.weight$/.test(name) ? transposed : undefined;
  return arch.startsWith('gemma') && name.endsWith('norm.weight') ? lessOne : undefined;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const asFloat32 = (entry: Entry): Entry => ({
  ...entry,
  dtype: 'F32',
  byteLength: 4 * entry.shape.reduce((a, b) => a * b, 1),
});

/** llama.cpp's norms of Gemma have the 1 in their weights that transformers adds to them. */
const lessOne: GgufLayout = {
  entry: asFloat32,
  bytes: async (_stored, values, entry) => bytesOf(lessOne.values(await values(), entry)),
  values: (values) => values.map((x) => x - 1),
};

/** Bytes of a number where each is on its own. */
const widths: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

/**
 * `[out, in]` back to the `[in, out]` of GPT-2's Conv1D. Blocks of a quantized tensor run along the other axis: such a
 * tensor is one of F32.
 */
const transposed: GgufLayout = {
  entry: (entry) => {
    const turned = { ...entry, shape: [...entry.shape].reverse() };
    return widths[entry.dtype] === undefined ? asFloat32(turned) : turned;
  },
  bytes: async (stored, values, entry) => {
    const width = widths[entry.dtype];
    return width === undefined
      ? bytesOf(transposed.values(await values(), entry))
      : transpose(await stored(), entry.shape, width);
  },
  values: (values, { shape }) => new Float32Array(transpose(bytesOf(values), shape, 4).buffer),
};

function transpose(
  bytes: Uint8Array,
  [rows, columns]: readonly number[],
  width: number,
): Uint8Array<ArrayBuffer> {
  const turned = new Uint8Array(bytes.length);
  const words = width === 4 ? Uint32Array : Uint16Array;
  const from = new words(bytes.slice().buffer);
  const to = new words(turned.buffer);
  for (let row = 0; row < rows!; row++)
    for (let column = 0; column < columns!; column++)
      to[column * rows! + row] = from[row * columns! + column]!;
  return turned;
}

/**
 * For the architecture `llama`, llama.cpp's conversion lets the two halves of each head of q and k alternate, row by row;
 * here they follow each other again, in `read`, too: a row is a whole number of blocks.
 */
function headHalves(file: string, name: string, heads: number): GgufLayout {
  const sorted = (bytes: Uint8Array, rows: number): Uint8Array<ArrayBuffer> => {
    const half = rows / heads / 2;
    if (!Number.isInteger(half))
      throw new CheckpointError(
        file,
        `${JSON.stringify(name)} has ${rows} rows, which are not ${heads} heads of two halves`,
        'The metadata and the tensors do not belong together: download the file again',
      );
    const rowBytes = bytes.length / rows;
    const result = new Uint8Array(bytes.length);
    for (let row = 0; row < rows; row++) {
      const head = Math.floor(row / (2 * half));
      const inHead = row % (2 * half);
      const from = head * 2 * half + (inHead % half) * 2 + Math.floor(inHead / half);
      result.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
    }
    return result;
  };
  return {
    entry: (entry) => entry,
    bytes: async (stored, _values, { shape }) => sorted(await stored(), shape[0] ?? 0),
    values: (values, { shape }) => new Float32Array(sorted(bytesOf(values), shape[0] ?? 0).buffer),
  };
}
