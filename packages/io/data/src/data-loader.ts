import { type Batch, type CollateOptions, collate, type Row } from './collate.ts';
import { DataError } from './errors.ts';
import type { Example } from './example.ts';
import { type PackStatistics, pack } from './pack.ts';
import { permutation } from './permutation.ts';

/** A place in the order of rows; plain JSON. The next batch starts at row `index` of `epoch`. */
export interface DataCursor {
  readonly epoch: number;
  readonly index: number;
  readonly seed: number;
  /** Examples of the data set, to notice that it has changed. */
  readonly size: number;
  /** With packing: blocks of the epoch, to notice that lengths have changed. */
  readonly blocks?: number;
}

export interface DataLoaderOptions extends CollateOptions {
  /** Rows of a batch: examples or, with packing, blocks. */
  readonly batchSize: number;
  /** Default 0. */
  readonly seed?: number;
  /** A new order each epoch, from `seed`. Default `true`. */
  readonly shuffle?: boolean;
  /** Leave out an epoch's last batch where it is smaller and not the only one. Default `false`. */
  readonly dropLast?: boolean;
  /** Default: without end. */
  readonly epochs?: number;
  /**
   * Whole examples are packed into blocks of at most `maxLength` tokens, which is needed then; `window` is how many
   * neighbours of the epoch's order are packed together (see {@link pack}). Default: each is a row of its own.
   */
  readonly packing?: boolean | { readonly window?: number } | undefined;
}

/**
 * Batches in a seeded order, epoch after epoch; no batch spans two epochs. `cursor` after a batch is where the
 * next one starts: saved as JSON and given to `restore` (of a loader over the same examples with the same
 * options) it continues with exactly the same batches.
 */
export class DataLoader implements Iterable<Batch> {
  /** With packing: of the first epoch; others differ a little. */
  readonly batchesPerEpoch: number;
  /** Of the first epoch; undefined without packing. */
  readonly packing: PackStatistics | undefined;
  readonly #examples: readonly Example[];
  readonly #options: DataLoaderOptions;
  readonly #epochs: number;
  #seed: number;
  #epoch = 0;
  #index = 0;
  #rows: { readonly epoch: number; readonly rows: readonly Row[] } | undefined;

  /** @throws DataError where the examples do not make a batch; RangeError for a bad batch size, seed, epochs or packing. */
  constructor(examples: readonly Example[], options: DataLoaderOptions) {
    const { batchSize, seed = 0, dropLast = false, epochs = Number.POSITIVE_INFINITY } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new RangeError(`batchSize is ${batchSize}: it must be a whole number of at least 1`);
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed is ${seed}: it must be a whole number`);
    if (!(epochs === Number.POSITIVE_INFINITY || (Number.isInteger(epochs) && epochs >= 0)))
      throw new RangeError(`epochs is ${epochs}: it must be a whole number, or Infinity`);
    if (options.seq2seq && options.packing)
      throw new RangeError('texts of encoder-decoders are not packed: train without packing');
    if (examples.length === 0) throw new DataError('no examples: the data set is empty');
    this.#examples = examples;
    this.#options = options;
    this.#seed = seed;
    this.#epochs = epochs;
    const rows = this.#currentRows().length;
    this.batchesPerEpoch = (dropLast ? Math.floor : Math.ceil)(rows / batchSize);
    if (this.batchesPerEpoch === 0)
      throw new DataError(
        `${rows} examples do not fill one batch of ${batchSize}: use a smaller batch or dropLast: false`,
      );
    if (options.packing) {
      const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0);
      const fill = tokens / (rows * options.maxLength!);
      this.packing = { examples: examples.length, blocks: rows, fill };
    }
  }

  get cursor(): DataCursor {
    return {
      epoch: this.#epoch,
      index: this.#index,
      seed: this.#seed,
      size: this.#examples.length,
      ...(this.#options.packing ? { blocks: this.#currentRows().length } : {}),
    };
  }

  /** Epochs done so far, with the part of the one under way. */
  get progress(): number {
    return this.#epoch + this.#index / this.#currentRows().length;
  }

  /** Continues at a cursor, with its seed.
   * @throws DataError where it belongs to another number of examples or is malformed. */
  restore(cursor: DataCursor): void {
    const { epoch, index, seed, size, blocks } = cursor;
    if (size !== this.#examples.length)
      throw new DataError(
        `the run to resume had ${size} examples, the data set now has ${this.#examples.length}: ` +
          'resume with the same data, or start a new run',
      );
    if (![epoch, index, seed].every(Number.isSafeInteger) || epoch < 0 || index < 0 || index >= size)
      throw new DataError(`the data cursor ${JSON.stringify(cursor)} is malformed`);
    const before = { epoch: this.#epoch, index: this.#index, seed: this.#seed };
    this.#go({ epoch, index, seed });
    const now = this.cursor.blocks;
    if (blocks !== now) {
      this.#go(before);
      throw new DataError(
        `the run to resume had ${blocks ?? 'no'} packed blocks in an epoch, now there are ${now ?? 'none'}: ` +
          'resume with the same data and lengths, or start a new run',
      );
    }
    this.#endEpochIfDone();
  }

  /** The next batch; `undefined` after the last epoch. */
  next(): Batch | undefined {
    if (this.#epoch >= this.#epochs) return undefined;
    const rows = this.#currentRows();
    const chosen = rows.slice(this.#index, this.#index + this.#options.batchSize);
    this.#index += chosen.length;
    this.#endEpochIfDone();
    return collate(chosen, this.#options);
  }

  /** From the cursor on; leaving the loop early loses nothing. */
  *[Symbol.iterator](): Generator<Batch, void, undefined> {
    for (let batch = this.next(); batch; batch = this.next()) yield batch;
  }

  #go({ epoch, index, seed }: Pick<DataCursor, 'epoch' | 'index' | 'seed'>): void {
    this.#epoch = epoch;
    this.#index = index;
    this.#seed = seed;
    this.#rows = undefined;
  }

  #endEpochIfDone(): void {
    const left = this.#currentRows().length - this.#index;
    const isDropped = this.#options.dropLast && this.#index > 0 && left < this.#options.batchSize;
    if (left > 0 && !isDropped) return;
    this.#epoch++;
    this.#index = 0;
  }

  #currentRows(): readonly Row[] {
    if (this.#rows?.epoch !== this.#epoch)
      this.#rows = { epoch: this.#epoch, rows: this.#rowsOf(this.#epoch) };
    return this.#rows.rows;
  }

  #rowsOf(epoch: number): readonly Row[] {
    const { packing, maxLength, shuffle = true } = this.#options;
    const examples = this.#examples;
    const orderOf = (size: number): Uint32Array =>
      shuffle ? permutation(size, this.#seed, epoch) : Uint32Array.from({ length: size }, (_, i) => i);
    const order = orderOf(examples.length);
    if (!packing) return Array.from(order, (i) => examples[i]!);
    if (maxLength === undefined) throw new RangeError('packing needs maxLength, the length of a block');
    const lengths = examples.map(({ ids }) => ids.length);
    const blocks = pack(lengths, order, { length: maxLength, ...(packing === true ? {} : packing) });
    // Blocks come longest examples first; a batch should not be of one length only.
    return Array.from(orderOf(blocks.length), (i) => blocks[i]!.map((example) => examples[example]!));
  }
}
