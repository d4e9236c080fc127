import { type Context, Linear, Module, Site } from '@graftjs/nn';
import { attention, rotary } from '@graftjs/ops';
import { add, concat, fill, permute, reshape, type Tensor } from '@graftjs/tensor';
import type { KvCache } from './kv-cache.ts';

export interface AttentionConfig {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** Keys that a query sees, its own included; left out: all before it. */
  readonly window?: number;
}

/** What every layer of one pass shares. */
export interface PassInputs {
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly cache?: KvCache;
  /**
   * i32 `[b, keys]`, 0 where a key is padding; with a cache, `[b, capacity]`. Keys that attachments put in front are
   * seen, and are not counted here unless there is a cache.
   */
  readonly keyMask?: Tensor;
  /**
   * i32 `[b, t, 2]`: where in its row the text of each token begins and ends, for several texts in a row (see
   * `attention` of `@graftjs/ops`). Keys that attachments put in front belong to every text, and are not counted here.
   */
  readonly segments?: Tensor;
}

/** What an attachment to keys or values sees. */
export interface KeyValueDetails {
  readonly layer: SelfAttention;
  readonly layerIndex: number;
  readonly context: Context;
}

/** Causal self-attention with rotary positions and grouped queries (Llama's). */
export class SelfAttention extends Module {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;
  /**
   * Keys after their rotation, and values, `[b, kvHeads, t, headDim]`, before they enter the cache. An attachment may
   * put others in front along the third axis, the same number in both: every query sees them.
   */
  readonly keys: Site<KeyValueDetails> = new Site();
  readonly values: Site<KeyValueDetails> = new Site();
  readonly #config: AttentionConfig;
  readonly #index: number;

  constructor(config: AttentionConfig, index: number) {
    super();
    const { hiddenSize, heads, kvHeads, headDim, qkvBias, outputBias } = config;
    this.#config = config;
    this.#index = index;
    this.q_proj = new Linear(hiddenSize, heads * headDim, { bias: qkvBias });
    this.k_proj = new Linear(hiddenSize, kvHeads * headDim, { bias: qkvBias });
    this.v_proj = new Linear(hiddenSize, kvHeads * headDim, { bias: qkvBias });
    this.o_proj = new Linear(heads * headDim, hiddenSize, { bias: outputBias });
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, { cos, sin, cache, keyMask, segments }: PassInputs, context: Context): Tensor {
    const { heads, kvHeads, headDim, window } = this.#config;
    const [b, t] = x.shape as [number, number];
    const split = (y: Tensor, n: number): Tensor => permute(reshape(y, [b, t, n, headDim]), [0, 2, 1, 3]);
    const details: KeyValueDetails = { layer: this, layerIndex: this.#index, context };
    const q = rotary(split(this.q_proj.forward(x, context), heads), cos, sin);
    const k = rotary(split(this.k_proj.forward(x, context), kvHeads), cos, sin);
    const v = split(this.v_proj.forward(x, context), kvHeads);
    let keys = this.keys.apply(k, details);
    let values = this.values.apply(v, details);
    const front = keys.shape[2]! - t;
    if (cache) ({ keys, values } = cache.extend(this.#index, keys, values));
    const mixed = attention(q, keys, values, {
      causal: true,
      ...(window ? { window } : {}),
      ...(cache ? { offset: front > 0 ? add(cache.position, front) : cache.position } : {}),
      ...(keyMask ? { keyMask: cache ? keyMask : withSeen(keyMask, keys.shape[2]!) } : {}),
      ...(segments ? { segments: front > 0 ? add(segments, front) : segments, prefix: front } : {}),
    });
    return this.o_proj.forward(reshape(permute(mixed, [0, 2, 1, 3]), [b, t, heads * headDim]), context);
  }
}

/** The mask for `count` keys, of which those in front are seen. */
function withSeen(keyMask: Tensor, count: number): Tensor {
  const [b, known] = keyMask.shape as [number, number];
  return known < count ? concat([fill(1, [b, count - known], 'i32'), keyMask], 1) : keyMask;
}
