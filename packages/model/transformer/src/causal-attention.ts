import { type HeadConfig, MultiHeadAttention } from './multi-head-attention.ts';

/** The self-attention of decoders. */
export abstract class CausalAttention extends MultiHeadAttention {
  constructor(heads: HeadConfig, layerIndex: number) {
    super(heads, layerIndex, true);
  }
}
