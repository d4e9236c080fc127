import type { Context } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import type { CrossCache } from './cross-cache.ts';
import { type HeadConfig, type KeysAndValues, MultiHeadAttention, withSeen } from './multi-head-attention.ts';

/** What an encoder gave. */
export interface Encoded {
  /** `[b, s, hidden]`, s counting a virtual prompt of the encoder. */
  readonly states: Tensor;
  /** i32 `[b, s]`, 0 where a state is of padding; states of a prompt in front may be left out: they are seen. */
  readonly keyMask?: Tensor;
}

/** What cross-attention looks at: the encoder's states, or what was made of them before. */
export interface CrossInputs {
  readonly encoded: Encoded | CrossCache;
}

/** A decoder's attention to what an encoder gave; the projections are theirs. */
export abstract class CrossAttention extends MultiHeadAttention {
  constructor(heads: HeadConfig, layerIndex: number) {
    super(heads, layerIndex, false);
  }

  /** Keys and values of the encoder's states, `[b, kvHeads, s, headDim]`, with what is attached to them. */
  abstract keysAndValues(states: Tensor, context: Context): KeysAndValues;

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  abstract forward(x: Tensor, inputs: CrossInputs, context: Context): Tensor;

  /** q `[b, heads, t, headDim]` -> `[b, t, heads * headDim]`. */
  protected attendTo(encoded: CrossInputs['encoded'], q: Tensor, context: Context): Tensor {
    const found =
      'states' in encoded ? this.keysAndValues(encoded.states, context) : encoded.at(this.layerIndex);
    const { keyMask } = encoded;
    return this.mix(q, found, keyMask ? { keyMask: withSeen(keyMask, found.keys.shape[2]!) } : {}, context);
  }
}
