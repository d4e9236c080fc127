import { cacheWrite } from '@graftjs/ops';
import { fill, pad, type Tensor, Variable } from '@graftjs/tensor';
import type { KvCacheOptions } from './kv-cache.ts';
import { type KeysAndValues, withSeen } from './multi-head-attention.ts';

/**
 * Keys and values of what an encoder gave, `[b, kvHeads, capacity, headDim]` for each layer of its decoder: computed
 * once for a text, and read at every token that the decoder says.
 */
export class CrossCache {
  readonly capacity: number;
  /** i32 `[b, capacity]`, 0 where there is no key. */
  readonly keyMask: Variable;
  readonly #keys: Variable[];
  readonly #values: Variable[];

  constructor({ layers, batchSize, capacity }: KvCacheOptions) {
    this.capacity = capacity;
    this.keyMask = new Variable([batchSize, capacity], undefined, { dtype: 'i32', name: 'cross mask' });
    const make = (name: string) =>
      layers.map(
        ({ kvHeads, headDim }, i) =>
          new Variable([batchSize, kvHeads, capacity, headDim], undefined, { name: `cross ${name} ${i}` }),
      );
    this.#keys = make('keys');
    this.#values = make('values');
  }

  at(layer: number): KeysAndValues {
    return { keys: this.#keys[layer]!, values: this.#values[layer]! };
  }

  /**
   * What a program that encodes a text updates.
   * @param layers keys and values of each layer, at most `capacity`
   * @param keyMask i32 `[b, s]` of the text; keys in front of it are seen
   */
  filled(layers: readonly KeysAndValues[], keyMask: Tensor): [Variable, Tensor][] {
    const rows = layers[0]!.keys.shape[2]!;
    const start = fill(0, [], 'i32');
    return [
      [this.keyMask, pad(withSeen(keyMask, rows), [0, 0], [0, this.capacity - rows])],
      ...layers.flatMap(({ keys, values }, i): [Variable, Tensor][] => {
        const own = this.at(i);
        return [
          [own.keys as Variable, cacheWrite(own.keys, keys, start)],
          [own.values as Variable, cacheWrite(own.values, values, start)],
        ];
      }),
    ];
  }

  /** The device memory it holds: for a runtime to release. */
  get variables(): readonly Variable[] {
    return [...this.#keys, ...this.#values, this.keyMask];
  }
}
