import { type Context, dropoutDraw, Module, Site } from '@graftjs/nn';
import { type AttentionOptions, attention } from '@graftjs/ops';
import { add, concat, fill, permute, reshape, type Tensor } from '@graftjs/tensor';
import type { KvCache } from './kv-cache.ts';

/** How attention divides into heads. */
export interface HeadConfig {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Keys that a query sees, its own included; left out: all before it. */
  readonly window?: number;
  /** Factor of the scores. Default 1 / sqrt(headDim). */
  readonly scale?: number;
  /** Soft cap of the scaled scores (see `attention` of `@graftjs/ops`). Default: none. */
  readonly softcap?: number;
  /** Chance that a weight of attention becomes zero in training. Default 0. */
  readonly dropout?: number;
}

/** What every layer of one pass shares. */
export interface PassInputs {
  readonly cache?: KvCache;
  /**
   * i32 `[b, keys]`, 0 where a key is padding; with a cache, `[b, capacity]`. Keys that attachments put in front are
   * seen, and are not counted here unless there is a cache.
   */
  readonly keyMask?: Tensor;
  /**
   * What is added to the scaled scores of `queries` and `keys` that there are, `[1 | b, heads, queries, keys]`; the
   * first query is at `offset` among the keys, i32 `[]`, left out: keys - queries. It counts keys that attachments put in
   * front, and the whole of a cache.
   */
  readonly bias?: (queries: number, keys: number, offset?: Tensor) => Tensor;
  /**
   * i32 `[b, t, 2]`: where in its row the text of each token begins and ends, for several texts in a row (see
   * `attention` of `@graftjs/ops`). Keys that attachments put in front belong to every text, and are not counted here.
   */
  readonly segments?: Tensor;
}

/** What an attachment to queries, keys or values sees. */
export interface KeyValueDetails {
  readonly layer: MultiHeadAttention;
  readonly layerIndex: number;
  readonly context: Context;
}

/** `[b, kvHeads, keys, headDim]` each. */
export interface KeysAndValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** What all attention has in common; the projections, and what becomes of positions, are theirs. */
export abstract class MultiHeadAttention extends Module {
  /** Queries, `[b, heads, t, headDim]`, after their rotation where they are rotated. */
  readonly queries: Site<KeyValueDetails> = new Site();
  /**
   * Keys and values, `[b, kvHeads, t, headDim]`, before they enter the cache (keys after their rotation, where they
   * are rotated). An attachment may put others in front along the third axis, the same number in both: every query
   * sees them.
   */
  readonly keys: Site<KeyValueDetails> = new Site();
  readonly values: Site<KeyValueDetails> = new Site();
  readonly heads: HeadConfig;
  readonly layerIndex: number;
  /** Whether a query sees only the keys up to its own position. */
  readonly causal: boolean;

  constructor(heads: HeadConfig, layerIndex: number, causal: boolean) {
    super();
    this.heads = heads;
    this.layerIndex = layerIndex;
    this.causal = causal;
  }

  /** y `[b, t, n * headDim]` -> `[b, n, t, headDim]`. */
  protected split(y: Tensor, n: number): Tensor {
    const [b, t] = y.shape as [number, number];
    return permute(reshape(y, [b, t, n, this.heads.headDim]), [0, 2, 1, 3]);
  }

  /** q `[b, heads, t, headDim]`, k and v `[b, kvHeads, keys, headDim]` -> `[b, t, heads * headDim]`. */
  protected attend(q: Tensor, k: Tensor, v: Tensor, pass: PassInputs, context: Context): Tensor {
    const { bias, cache, keyMask, segments } = pass;
    let { keys, values } = this.attached(k, v, context);
    const front = keys.shape[2]! - k.shape[2]!;
    if (cache) ({ keys, values } = cache.extend(this.layerIndex, keys, values));
    const offset = cache && (front > 0 ? add(cache.position, front) : cache.position);
    const options = {
      ...(bias ? { bias: bias(q.shape[2]!, keys.shape[2]!, offset) } : {}),
      ...(offset ? { offset } : {}),
      ...(keyMask ? { keyMask: cache ? keyMask : withSeen(keyMask, keys.shape[2]!) } : {}),
      ...(segments ? { segments: front > 0 ? add(segments, front) : segments, prefix: front } : {}),
    };
    return this.mix(q, { keys, values }, options, context);
  }

  /** Keys and values with what is attached to them. */
  protected attached(k: Tensor, v: Tensor, context: Context): KeysAndValues {
    const details = this.#details(context);
    return { keys: this.keys.apply(k, details), values: this.values.apply(v, details) };
  }

  /** The attention of queries to keys and values as they are; {@link attend} without what it does to those. */
  protected mix(
    q: Tensor,
    { keys, values }: KeysAndValues,
    options: Pick<AttentionOptions, 'bias' | 'offset' | 'keyMask' | 'segments' | 'prefix'>,
    context: Context,
  ): Tensor {
    const { heads, headDim, window, scale, softcap, dropout } = this.heads;
    const [b, , t] = q.shape as [number, number, number];
    const mixed = attention(this.queries.apply(q, this.#details(context)), keys, values, {
      ...options,
      causal: this.causal,
      ...(window ? { window } : {}),
      ...(scale === undefined ? {} : { scale }),
      ...(softcap === undefined ? {} : { softcap }),
      ...(dropout && context.training
        ? { dropout: { p: dropout, ...dropoutDraw(context, 'dropout of attention') } }
        : {}),
    });
    return reshape(permute(mixed, [0, 2, 1, 3]), [b, t, heads * headDim]);
  }

  #details(context: Context): KeyValueDetails {
    return { layer: this, layerIndex: this.layerIndex, context };
  }
}

/** The mask for `count` keys, of which those in front are seen. */
export function withSeen(keyMask: Tensor, count: number): Tensor {
  const [b, known] = keyMask.shape as [number, number];
  return known < count ? concat([fill(1, [b, count - known], 'i32'), keyMask], 1) : keyMask;
}
