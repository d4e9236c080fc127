import { CheckpointError, checkTensorRange, entryOf, type GgufFile, type Weights } from '@graftjs/checkpoint';
import type { GgufKeys } from './gguf-keys.ts';

/** llama.cpp's names of a block's layers and transformers' ones. */
const blockNames: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

const outerNames: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

/** Tables that follow from the metadata. */
const ignored = /^(rope_freqs\.weight|blk\.\d+\.attn_rot_embd(\.freqs|\.weight)?)$/;

function transformersName(name: string): string | undefined {
  const [, layer, stem, kind] = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
  if (stem === undefined) return undefined;
  const known = layer === undefined ? outerNames : blockNames;
  if (!Object.hasOwn(known, stem)) return undefined;
  return layer === undefined ? `${known[stem]}.${kind}` : `model.layers.${layer}.${known[stem]}.${kind}`;
}

/**
 * The tensors of a GGUF file of the Llama family under transformers' names and in its layout. For the architecture
 * `llama`, llama.cpp's conversion lets the two halves of each head of q and k alternate, row by row; here they follow
 * each other again, in `read`, too: a row is a whole number of blocks.
 * @throws CheckpointError for tensors that such a model has no place for
 */
export function ggufWeights(gguf: GgufFile, keys: GgufKeys): Weights {
  const tensors = new Map<string, ReturnType<typeof entryOf>>();
  const stored = new Map<string, string>();
  const unknown: string[] = [];
  for (const [name, entry] of gguf.tensors) {
    if (ignored.test(name)) continue;
    const renamed = transformersName(name);
    if (renamed === undefined) unknown.push(name);
    else {
      tensors.set(renamed, entry);
      stored.set(renamed, name);
    }
  }
  if (unknown.length > 0) {
    const more = unknown.length > 5 ? ` and ${unknown.length - 5} more` : '';
    const shown = unknown.slice(0, 5).map((name) => JSON.stringify(name));
    throw keys.error(
      `a model of the architecture ${keys.arch} has no place for ${shown.join(', ')}${more}`,
      'This variant of the architecture is not supported',
    );
  }
  const heads = keys.needed('{arch}.attention.head_count');
  const kvHeads = keys.number('{arch}.attention.head_count_kv') ?? heads;
  const headsOf = (name: string): number | undefined => {
    if (keys.arch !== 'llama') return undefined;
    if (name.includes('.self_attn.q_proj.')) return heads;
    return name.includes('.self_attn.k_proj.') ? kvHeads : undefined;
  };
  const weights: Weights = {
    name: gguf.name,
    metadata: gguf.metadata,
    tensors,

    async read(name, range) {
      const entry = entryOf(weights, name);
      const count = headsOf(name);
      if (count === undefined) return gguf.read(stored.get(name)!, range);
      if (range) checkTensorRange(gguf.name, name, entry, range);
      const rows = headHalves(
        gguf.name,
        name,
        await gguf.read(stored.get(name)!),
        entry.shape[0] ?? 0,
        count,
      );
      return range ? rows.slice(range.offset, range.offset + range.length) : rows;
    },

    async readFloat32(name) {
      const entry = entryOf(weights, name);
      const values = await gguf.readFloat32(stored.get(name)!);
      const count = headsOf(name);
      if (count === undefined) return values;
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      return new Float32Array(headHalves(gguf.name, name, bytes, entry.shape[0] ?? 0, count).buffer);
    },
  };
  return weights;
}

/** Rows of heads whose halves alternate, back to one half after the other. */
function headHalves(
  file: string,
  name: string,
  bytes: Uint8Array,
  rows: number,
  heads: number,
): Uint8Array<ArrayBuffer> {
  const half = rows / heads / 2;
  if (!Number.isInteger(half))
    throw new CheckpointError(
      file,
      `${JSON.stringify(name)} has ${rows} rows, which are not ${heads} heads of two halves`,
      'The metadata and the tensors do not belong together: download the file again',
    );
  const rowBytes = bytes.length / rows;
  const sorted = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half));
    const inHead = row % (2 * half);
    const from = head * 2 * half + (inHead % half) * 2 + Math.floor(inHead / half);
    sorted.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return sorted;
}
