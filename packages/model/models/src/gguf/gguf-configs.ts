import type { GgufFile, JsonObject } from '@graftjs/checkpoint';
import type { GgufKeys } from './gguf-keys.ts';
import type { GgufArchitecture } from './gguf-names.ts';
import { longRope, ropeScaling } from './gguf-rope.ts';

/** What `config.json` of the model in a file says. @throws CheckpointError */
export function ggufConfig(gguf: GgufFile, keys: GgufKeys, arch: GgufArchitecture): Promise<JsonObject> {
  switch (arch) {
    case 'llama':
    case 'qwen2':
    case 'qwen3':
      return llamaConfig(gguf, keys, arch);
    case 'gpt2':
      return gpt2Config(gguf, keys);
    case 'gemma':
    case 'gemma2':
    case 'gemma3':
      return gemmaConfig(gguf, keys, arch);
    case 'phi3':
      return phi3Config(gguf, keys);
    default:
      return arch satisfies never;
  }
}

async function llamaConfig(
  gguf: GgufFile,
  keys: GgufKeys,
  arch: 'llama' | 'qwen2' | 'qwen3',
): Promise<JsonObject> {
  const { headDim, rotary } = headsOf(keys);
  if (rotary !== headDim) throw rotaryError(keys, headDim, rotary);
  const theta = keys.decimal('{arch}.rope.freq_base') ?? 10000;
  const scaling = await ropeScaling(gguf, keys, { headDim, theta });
  const window = keys.number('{arch}.attention.sliding_window');
  const biased = (layer: string): boolean => gguf.tensors.has(`blk.0.${layer}.bias`);
  const attention_bias = biased('attn_q');
  const kinds = {
    qwen2: { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' },
    qwen3: { architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', attention_bias },
    llama: window
      ? { architectures: ['MistralForCausalLM'], model_type: 'mistral', sliding_window: window }
      : {
          architectures: ['LlamaForCausalLM'],
          model_type: 'llama',
          attention_bias,
          mlp_bias: biased('ffn_up'),
        },
  };
  return {
    ...kinds[arch],
    ...common(gguf, keys),
    head_dim: headDim,
    hidden_act: 'silu',
    rope_theta: theta,
    ...(scaling ? { rope_scaling: scaling } : {}),
  };
}

async function gemmaConfig(
  gguf: GgufFile,
  keys: GgufKeys,
  arch: 'gemma' | 'gemma2' | 'gemma3',
): Promise<JsonObject> {
  const { headDim, rotary } = headsOf(keys);
  if (rotary !== headDim) throw rotaryError(keys, headDim, rotary);
  const shared = {
    ...common(gguf, keys),
    head_dim: headDim,
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
  };
  const theta = keys.decimal('{arch}.rope.freq_base');
  if (arch === 'gemma')
    return {
      architectures: ['GemmaForCausalLM'],
      model_type: 'gemma',
      ...shared,
      rope_theta: theta ?? 10000,
    };
  const scaling = await ropeScaling(gguf, keys, { headDim, theta: theta ?? 10000 });
  const layers = keys.needed('{arch}.block_count');
  // The largest model of each generation scales by the width per head, as llama.cpp knows by its layers.
  const largest = { gemma2: 46, gemma3: 62 }[arch];
  const perHead = keys.needed('{arch}.embedding_length') / keys.needed('{arch}.attention.head_count');
  const later = {
    ...shared,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: layers === largest ? perHead : headDim,
    sliding_window: keys.number('{arch}.attention.sliding_window') ?? 4096,
    final_logit_softcapping: keys.decimal('{arch}.final_logit_softcapping') ?? null,
    attn_logit_softcapping: keys.decimal('{arch}.attn_logit_softcapping') ?? null,
    ...(scaling ? { rope_scaling: scaling } : {}),
  };
  return arch === 'gemma2'
    ? {
        architectures: ['Gemma2ForCausalLM'],
        model_type: 'gemma2',
        ...later,
        rope_theta: theta ?? 10000,
      }
    : {
        architectures: ['Gemma3ForCausalLM'],
        model_type: 'gemma3_text',
        ...later,
        sliding_window_pattern: keys.number('{arch}.attention.sliding_window_pattern') ?? 6,
        rope_theta: theta ?? 1000000,
        rope_local_base_freq: keys.decimal('{arch}.rope.freq_base_swa') ?? 10000,
      };
}

async function phi3Config(gguf: GgufFile, keys: GgufKeys): Promise<JsonObject> {
  const { headDim, rotary } = headsOf(keys);
  const original =
    keys.number('{arch}.rope.scaling.original_context_length') ?? keys.needed('{arch}.context_length');
  const window = keys.number('{arch}.attention.sliding_window') ?? 0;
  return {
    architectures: ['Phi3ForCausalLM'],
    model_type: 'phi3',
    ...common(gguf, keys),
    ...(headDim === keys.needed('{arch}.embedding_length') / keys.needed('{arch}.attention.head_count')
      ? {}
      : { head_dim: headDim }),
    hidden_act: 'silu',
    partial_rotary_factor: rotary / headDim,
    original_max_position_embeddings: original,
    rope_theta: keys.decimal('{arch}.rope.freq_base') ?? 10000,
    rope_scaling: await longRope(gguf, keys, original),
    sliding_window: window > 0 ? window : null,
  };
}

async function gpt2Config(gguf: GgufFile, keys: GgufKeys): Promise<JsonObject> {
  return {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    vocab_size: vocabularyOf(gguf, keys),
    n_positions: keys.needed('{arch}.context_length'),
    n_embd: keys.needed('{arch}.embedding_length'),
    n_layer: keys.needed('{arch}.block_count'),
    n_head: keys.needed('{arch}.attention.head_count'),
    n_inner: keys.needed('{arch}.feed_forward_length'),
    activation_function: 'gelu_new',
    layer_norm_epsilon: keys.decimal('{arch}.attention.layer_norm_epsilon') ?? 1e-5,
    tie_word_embeddings: await sameOutput(gguf),
    ...tokens(keys),
    torch_dtype: 'float32',
  };
}

/** Whether the output weights are the embeddings: some files hold a copy of them. */
async function sameOutput(gguf: GgufFile): Promise<boolean> {
  const [embeddings, output] = ['token_embd.weight', 'output.weight'].map((name) => gguf.tensors.get(name));
  if (!output) return true;
  if (embeddings?.dtype !== output.dtype || embeddings.byteLength !== output.byteLength) return false;
  const [a, b] = [await gguf.read('token_embd.weight'), await gguf.read('output.weight')];
  return a.every((byte, i) => byte === b[i]);
}

/** What the architectures with RMS norms and key heads of their own have in common. */
function common(gguf: GgufFile, keys: GgufKeys): JsonObject {
  const heads = keys.needed('{arch}.attention.head_count');
  return {
    vocab_size: vocabularyOf(gguf, keys),
    hidden_size: keys.needed('{arch}.embedding_length'),
    intermediate_size: keys.needed('{arch}.feed_forward_length'),
    num_hidden_layers: keys.needed('{arch}.block_count'),
    num_attention_heads: heads,
    num_key_value_heads: keys.number('{arch}.attention.head_count_kv') ?? heads,
    max_position_embeddings: keys.needed('{arch}.context_length'),
    rms_norm_eps: keys.decimal('{arch}.attention.layer_norm_rms_epsilon') ?? 1e-6,
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
    ...tokens(keys),
    torch_dtype: 'float32',
  };
}

/** Dimensions of a head, and those of them that are rotated. */
function headsOf(keys: GgufKeys): { readonly headDim: number; readonly rotary: number } {
  const width = keys.needed('{arch}.embedding_length') / keys.needed('{arch}.attention.head_count');
  const headDim = keys.number('{arch}.attention.key_length') ?? width;
  const valueDim = keys.number('{arch}.attention.value_length') ?? headDim;
  const rotary = keys.number('{arch}.rope.dimension_count') ?? headDim;
  if (valueDim !== headDim) throw rotaryError(keys, headDim, rotary, valueDim);
  return { headDim, rotary };
}

const rotaryError = (keys: GgufKeys, headDim: number, rotary: number, valueDim = headDim): Error =>
  keys.error(
    `its heads have ${headDim} key, ${valueDim} value and ${rotary} rotary dimensions`,
    'Only heads where the three are equal are supported',
  );

function vocabularyOf(gguf: GgufFile, keys: GgufKeys): number {
  const embeddings = gguf.tensors.get('token_embd.weight');
  if (embeddings?.shape.length !== 2) throw keys.error('it has no table token_embd.weight');
  return embeddings.shape[0]!;
}

function tokens(keys: GgufKeys): JsonObject {
  return {
    bos_token_id: keys.number('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: endTokens(keys),
    pad_token_id: keys.number('tokenizer.ggml.padding_token_id') ?? null,
  };
}

/** The end of a text and, where it is another token, the end of a turn. */
function endTokens(keys: GgufKeys): number | readonly number[] | null {
  const ids = ['tokenizer.ggml.eos_token_id', 'tokenizer.ggml.eot_token_id'].map((key) => keys.number(key));
  const known = [...new Set(ids.filter((id) => id !== undefined))];
  return known.length > 1 ? known : (known[0] ?? null);
}
