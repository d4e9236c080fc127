import type { JsonObject } from '@graftjs/checkpoint';
import {
  architectures,
  type CausalLM,
  newModel,
  type Seq2SeqLM,
  seq2seqArchitectures,
} from '@graftjs/models';
import { type AnyModel, anyModel } from './any-model.ts';

const common = { vocab_size: 48, initializer_range: 0.3 };

/** Small models of every architecture and of what they differ in: grouped queries, biases, tied heads, weight layouts. */
const configs: Readonly<Record<string, JsonObject>> = {
  llama: {
    ...common,
    model_type: 'llama',
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    tie_word_embeddings: false,
  },
  qwen2: {
    ...common,
    model_type: 'qwen2',
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
  },
  // Projections that are fused head by head, attention and MLP side by side, half of each head rotated.
  gpt_neox: {
    ...common,
    model_type: 'gpt_neox',
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    rotary_pct: 0.5,
  },
  // Scaled embeddings, norms of heads and of what sub-layers give, a window in the first layer.
  gemma3_text: {
    ...common,
    model_type: 'gemma3_text',
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 4,
    query_pre_attn_scalar: 4,
    sliding_window: 4,
    sliding_window_pattern: 2,
  },
  gpt2: { ...common, model_type: 'gpt2', n_embd: 16, n_layer: 2, n_head: 2, n_positions: 64 },
};

/** The same of encoder-decoders. */
const seq2seqConfigs: Readonly<Record<string, JsonObject>> = {
  t5: { vocab_size: 48, model_type: 't5', d_model: 16, d_kv: 4, d_ff: 24, num_layers: 1, num_heads: 4 },
};

/** Model types that tuners are tried on. */
export const modelTypes: readonly string[] = [...Object.keys(configs), ...Object.keys(seq2seqConfigs)];

/** A decoder of a type with random weights, the same for the same seed. */
export const smallModel = (modelType: string, seed = 1): CausalLM =>
  newModel(configs[modelType]!, { architectures, seed }).model;

/** The same for encoder-decoders. */
export const smallSeq2Seq = (modelType: string, seed = 1): Seq2SeqLM =>
  newModel(seq2seqConfigs[modelType]!, { architectures: seq2seqArchitectures, seed }).model;

/** A model of any type of {@link modelTypes}, and what it computes. */
export const anySmallModel = (modelType: string): AnyModel =>
  anyModel(modelType in configs ? smallModel(modelType) : smallSeq2Seq(modelType));
