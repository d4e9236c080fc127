import { type Batch, type CollateOptions, collate } from './collate.ts';
import { DataError } from './errors.ts';
import type { Example } from './example.ts';
import { permutation } from './permutation.ts';

/** A place in the order of examples; plain JSON. The next batch starts at `index` of `epoch`. */
export interface DataCursor {
  readonly epoch: number;
  readonly index: number;
  readonly seed: number;
  /** Examples of the data set, to notice that it has changed. */
  readonly size: number;
}

export interface DataLoaderOptions extends CollateOptions {
  readonly batchSize: number;
  /** Default 0. */
  readonly seed?: number;
  /** A new order each epoch, from `seed`. Default `true`. */
  readonly shuffle?: boolean;
  /** Leave out an epoch's last batch where it is smaller. Default `false`. */
  readonly dropLast?: boolean;
  /** Default: without end. */
  readonly epochs?: number;
}

/**
 * Batches in a seeded order, epoch after epoch; no batch spans two epochs. `cursor` after a batch is where the
 * next one starts: saved as JSON and given to `restore` (of a loader over the same examples with the same
 * options) it continues with exactly the same batches.
 */
export class DataLoader implements Iterable<Batch> {
  readonly batchesPerEpoch: number;
  readonly #examples: readonly Example[];
  readonly #options: DataLoaderOptions;
  readonly #epochs: number;
  #seed: number;
  #epoch = 0;
  #index = 0;
  #order: { readonly epoch: number; readonly indices: Uint32Array } | undefined;

  /** @throws DataError where the examples do not make a batch; RangeError for a bad batch size, seed or epochs. */
  constructor(examples: readonly Example[], options: DataLoaderOptions) {
    const { batchSize, seed = 0, dropLast = false, epochs = Number.POSITIVE_INFINITY } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new RangeError(`batchSize is ${batchSize}: it must be a whole number of at least 1`);
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed is ${seed}: it must be a whole number`);
    if (!(epochs === Number.POSITIVE_INFINITY || (Number.isInteger(epochs) && epochs >= 0)))
      throw new RangeError(`epochs is ${epochs}: it must be a whole number, or Infinity`);
    if (examples.length === 0) throw new DataError('no examples: the data set is empty');
    this.batchesPerEpoch = (dropLast ? Math.floor : Math.ceil)(examples.length / batchSize);
    if (this.batchesPerEpoch === 0)
      throw new DataError(
        `${examples.length} examples do not fill one batch of ${batchSize}: use a smaller batch or dropLast: false`,
      );
    this.#examples = examples;
    this.#options = options;
    this.#seed = seed;
    this.#epochs = epochs;
  }

  get cursor(): DataCursor {
    return { epoch: this.#epoch, index: this.#index, seed: this.#seed, size: this.#examples.length };
  }

  /** Continues at a cursor, with its seed.
   * @throws DataError where it belongs to another number of examples or is malformed. */
  restore(cursor: DataCursor): void {
    const { epoch, index, seed, size } = cursor;
    if (size !== this.#examples.length)
      throw new DataError(
        `the run to resume had ${size} examples, the data set now has ${this.#examples.length}: ` +
          'resume with the same data, or start a new run',
      );
    if (![epoch, index, seed].every(Number.isSafeInteger) || epoch < 0 || index < 0 || index >= size)
      throw new DataError(`the data cursor ${JSON.stringify(cursor)} is malformed`);
    this.#epoch = epoch;
    this.#index = index;
    this.#seed = seed;
    this.#order = undefined;
    this.#endEpochIfDone();
  }

  /** The next batch; `undefined` after the last epoch. */
  next(): Batch | undefined {
    if (this.#epoch >= this.#epochs) return undefined;
    const { batchSize } = this.#options;
    const order = this.#currentOrder();
    const start = this.#index;
    const end = Math.min(start + batchSize, order.length);
    this.#index = end;
    this.#endEpochIfDone();
    const chosen = Array.from(order.subarray(start, end), (i) => this.#examples[i]!);
    return collate(chosen, this.#options);
  }

  /** From the cursor on; leaving the loop early loses nothing. */
  *[Symbol.iterator](): Generator<Batch, void, undefined> {
    for (let batch = this.next(); batch; batch = this.next()) yield batch;
  }

  #endEpochIfDone(): void {
    const left = this.#examples.length - this.#index;
    if (left >= (this.#options.dropLast ? this.#options.batchSize : 1)) return;
    this.#epoch++;
    this.#index = 0;
  }

  #currentOrder(): Uint32Array {
    if (this.#order?.epoch !== this.#epoch) {
      const size = this.#examples.length;
      const indices =
        this.#options.shuffle === false
          ? Uint32Array.from({ length: size }, (_, i) => i)
          : permutation(size, this.#seed, this.#epoch);
      this.#order = { epoch: this.#epoch, indices };
    }
    return this.#order.indices;
  }
}
