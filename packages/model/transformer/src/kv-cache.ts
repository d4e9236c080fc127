import { cacheWrite } from '@graftjs/ops';
import { type Tensor, Variable } from '@graftjs/tensor';

export interface KvCacheOptions {
  /** Heads of keys, and their size, of each layer. */
  readonly layers: readonly { readonly kvHeads: number; readonly headDim: number }[];
  readonly batchSize: number;
  /** Positions it can hold. */
  readonly capacity: number;
}

/**
 * Keys and values of the positions seen so far, `[b, kvHeads, capacity, headDim]` for each layer. `position`, how
 * many are there, is data: one program serves every position. A pass records what it writes, and the program that
 * runs it takes that as its updates ({@link KvCache.takeUpdates}).
 */
export class KvCache {
  readonly capacity: number;
  /** i32 scalar: the position of the first token of the pass. */
  readonly position: Variable;
  readonly #keys: Variable[];
  readonly #values: Variable[];
  #updates: [Variable, Tensor][] = [];
  #rows = 0;
  readonly #options: KvCacheOptions;
  #beside: KvCache | undefined;

  constructor(options: KvCacheOptions, position?: Variable) {
    const { layers, batchSize, capacity } = options;
    this.#options = options;
    this.capacity = capacity;
    this.position = position ?? new Variable([], undefined, { dtype: 'i32', name: 'cache position' });
    const make = (name: string) =>
      layers.map(
        ({ kvHeads, headDim }, i) =>
          new Variable([batchSize, kvHeads, capacity, headDim], undefined, { name: `${name} cache ${i}` }),
      );
    this.#keys = make('key');
    this.#values = make('value');
  }

  /**
   * The layer's keys and values with those of this pass in place.
   * @throws Error where this pass gave another layer a different number of them
   */
  extend(layer: number, keys: Tensor, values: Tensor): { keys: Tensor; values: Tensor } {
    const rows = keys.shape[2]!;
    if (this.#updates.length > 0 && rows !== this.#rows)
      throw new Error(
        `cache: layer ${layer} has ${rows} new keys and the layers before it have ${this.#rows}; put the same number in front of every layer's keys`,
      );
    this.#rows = rows;
    const [k, v] = [this.#keys[layer]!, this.#values[layer]!];
    const next = { keys: cacheWrite(k, keys, this.position), values: cacheWrite(v, values, this.position) };
    this.#updates.push([k, next.keys], [v, next.values]);
    return next;
  }

  /** Positions that the last pass adds: its tokens and what attachments put in front of them. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * The cache of a second pass over the same text within the first, at the same position: its updates are taken with this
   * one's, and its memory is this one's.
   */
  beside(): KvCache {
    this.#beside ??= new KvCache(this.#options, this.position);
    return this.#beside;
  }

  /** What the pass since the last call writes into the cache. */
  takeUpdates(): [Variable, Tensor][] {
    const updates = [...this.#updates, ...(this.#beside?.takeUpdates() ?? [])];
    this.#updates = [];
    return updates;
  }

  /** The device memory it holds: for a runtime to release. */
  get variables(): readonly Variable[] {
    const beside = this.#beside?.variables.filter((variable) => variable !== this.position) ?? [];
    return [...this.#keys, ...this.#values, ...beside, this.position];
  }
}
