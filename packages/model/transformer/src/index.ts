export { CausalAttention } from './causal-attention.ts';
export { CrossAttention, type CrossInputs, type Encoded } from './cross-attention.ts';
export { CrossAttentionBlock, type CrossBlockParts, type CrossPassInputs } from './cross-attention-block.ts';
export { CrossCache } from './cross-cache.ts';
export { type BlockOrder, DecoderBlock, type DecoderParts } from './decoder-block.ts';
export { GatedMlp } from './gated-mlp.ts';
export { KvCache, type KvCacheOptions } from './kv-cache.ts';
export { LlamaBlock, type LlamaBlockConfig } from './llama-block.ts';
export {
  type HeadConfig,
  type KeysAndValues,
  type KeyValueDetails,
  MultiHeadAttention,
  type PassInputs,
} from './multi-head-attention.ts';
export { PostNormBlock, type PostNormParts } from './post-norm-block.ts';
export {
  type BlockDetails,
  type BlockParts,
  type Norm,
  PreNormBlock,
  type SublayerDetails,
} from './pre-norm-block.ts';
export { type RelativeBuckets, RelativePositions, relativeBucket } from './relative-position-bias.ts';
export {
  type RotaryOptions,
  type RotaryScaling,
  type RotaryTable,
  rotaryFrequencies,
  rotaryTable,
} from './rotary-table.ts';
export { rotateHeads } from './rotate-heads.ts';
export { type AttentionConfig, type RotaryInputs, SelfAttention } from './self-attention.ts';
