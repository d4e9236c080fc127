/** llama.cpp's names of an architecture's layers and transformers' ones. */
export interface GgufNames {
  readonly outer: Readonly<Record<string, string>>;
  /** Path of the blocks, each of which follows by its number. */
  readonly blocks: string;
  readonly block: Readonly<Record<string, string>>;
}

const llama: GgufNames = {
  outer: { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' },
  blocks: 'model.layers',
  block: {
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
  },
};

const headNorms = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' };

const gemma2: GgufNames = {
  ...llama,
  block: {
    ...llama.block,
    post_attention_norm: 'post_attention_layernorm',
    ffn_norm: 'pre_feedforward_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
  },
};

const { attn_q: _q, attn_k: _k, attn_v: _v, ffn_gate: _gate, ...unfused } = llama.block;

/** By `general.architecture`. */
export const ggufNames = {
  llama,
  qwen2: llama,
  qwen3: { ...llama, block: { ...llama.block, ...headNorms } },
  gpt2: {
    outer: {
      token_embd: 'transformer.wte',
      position_embd: 'transformer.wpe',
      output_norm: 'transformer.ln_f',
      output: 'lm_head',
    },
    blocks: 'transformer.h',
    block: {
      attn_norm: 'ln_1',
      attn_qkv: 'attn.c_attn',
      attn_output: 'attn.c_proj',
      ffn_norm: 'ln_2',
      ffn_up: 'mlp.c_fc',
      ffn_down: 'mlp.c_proj',
    },
  },
  gemma: llama,
  gemma2,
  gemma3: { ...gemma2, block: { ...gemma2.block, ...headNorms } },
  phi3: {
    ...llama,
    block: { ...unfused, attn_qkv: 'self_attn.qkv_proj', ffn_up: 'mlp.gate_up_proj' },
  },
} as const satisfies Readonly<Record<string, GgufNames>>;

export type GgufArchitecture = keyof typeof ggufNames;

/** Tables that follow from the metadata, or that the config says. */
const ignored =
  /^(rope_freqs\.weight|rope_factors_(long|short)\.weight|blk\.\d+\.attn_rot_embd(\.freqs|\.weight)?)$/;

/** A tensor's name in transformers; undefined where there is no place for it, null where none is needed. */
export function transformersName(arch: GgufArchitecture, name: string): string | null | undefined {
  if (ignored.test(name)) return null;
  const [, layer, stem, kind] = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
  if (stem === undefined) return undefined;
  const { outer, blocks, block }: GgufNames = ggufNames[arch];
  const known = layer === undefined ? outer : block;
  if (!Object.hasOwn(known, stem)) return undefined;
  return layer === undefined ? `${known[stem]}.${kind}` : `${blocks}.${layer}.${known[stem]}.${kind}`;
}
