export { CausalAttention } from './causal-attention.ts';
export { type BlockParts, DecoderBlock, type SublayerDetails } from './decoder-block.ts';
export { GatedMlp } from './gated-mlp.ts';
export { KvCache, type KvCacheOptions } from './kv-cache.ts';
export { LlamaBlock, type LlamaBlockConfig } from './llama-block.ts';
export {
  type HeadConfig,
  type KeyValueDetails,
  MultiHeadAttention,
  type PassInputs,
} from './multi-head-attention.ts';
export {
  type RotaryOptions,
  type RotaryScaling,
  type RotaryTable,
  rotaryFrequencies,
  rotaryTable,
} from './rotary-table.ts';
export { type AttentionConfig, type RotaryInputs, SelfAttention } from './self-attention.ts';
