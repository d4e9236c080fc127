import type { JsonObject } from '@graftjs/checkpoint';
import { gpt2, llama } from '@graftjs/models';

/** Architectures of what is measured. */
export const architectures = [llama, gpt2];

const noDropout = { embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0 };

/** `config.json` of a GPT-2 without dropout. */
export const gpt2Like = (layers: number, more: JsonObject = {}): JsonObject => ({
  model_type: 'gpt2',
  vocab_size: 50257,
  n_positions: 8192,
  n_embd: 768,
  n_head: 12,
  n_layer: layers,
  ...noDropout,
  ...more,
});

/** Shapes of models that people know; weights are random. */
export const shapes = {
  'DistilGPT-2': gpt2Like(6),
  'GPT-2': gpt2Like(12),
  'SmolLM2-135M': {
    model_type: 'llama',
    vocab_size: 49152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 8192,
    rope_theta: 100000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  },
  /** TinyLlama's. */
  'Llama 1.1B': {
    model_type: 'llama',
    vocab_size: 32000,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  },
} as const satisfies Record<string, JsonObject>;

/** A small Llama model; its MLP is 8/3 as wide as it is. */
export const smallLlama = (
  hidden: number,
  layers: number,
  heads: number,
  kvHeads = heads,
  vocab = 2048,
): JsonObject => ({
  model_type: 'llama',
  vocab_size: vocab,
  hidden_size: hidden,
  intermediate_size: Math.round((hidden * 8) / 3 / 16) * 16,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: true,
});
