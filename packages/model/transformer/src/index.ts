export { type AttentionConfig, type KeyValueDetails, type PassInputs, SelfAttention } from './attention.ts';
export { type BlockConfig, DecoderBlock, type SublayerDetails } from './decoder-block.ts';
export { GatedMlp } from './gated-mlp.ts';
export { KvCache, type KvCacheOptions } from './kv-cache.ts';
export {
  frequencyTensor,
  type RotaryOptions,
  type RotaryScaling,
  rotaryFrequencies,
  rotaryTable,
} from './rotary-table.ts';
