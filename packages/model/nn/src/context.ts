import { checkpoint, type Tensor } from '@graftjs/tensor';

export interface ContextOptions {
  /** Dropout is active only in training. */
  readonly training?: boolean;
  /** u32 `[2]`, data that changes every step; needed where dropout is active. */
  readonly seed?: Tensor;
  /**
   * The pass goes on with a text whose beginning is in a cache: what attachments put in front of a text is there
   * already. Default false.
   */
  readonly continues?: boolean;
  /** What of the forward pass is computed again in the backward pass instead of being kept. Default: nothing. */
  readonly recompute?: Recomputation;
  /** i32 `[b]`: the task that each text belongs to, for adapters that have parameters by task. */
  readonly taskIds?: Tensor;
  /** i32 `[b]`: which adapter each text has, where several are mixed in one batch; 0 is none. */
  readonly adapterIds?: Tensor;
  /** i32 `[b, n]`: the tokens that each text began with, -1 behind them. For adapters that go by them. Default: the ids of the pass. */
  readonly prompt?: Tensor;
}

/** How many blocks, counted from the first, keep little for the backward pass. */
export interface Recomputation {
  /** Blocks that keep only their input. Default 0. */
  readonly blocks?: number;
  /** Blocks whose MLP keeps only its input, those of `blocks` counted with them. Default 0. */
  readonly mlps?: number;
}

/** What a forward pass is told beside its inputs. A new one for each pass: it numbers the random draws in order. */
export class Context {
  readonly training: boolean;
  readonly seed: Tensor | undefined;
  readonly continues: boolean;
  readonly taskIds: Tensor | undefined;
  readonly adapterIds: Tensor | undefined;
  readonly prompt: Tensor | undefined;
  readonly #recompute: Recomputation;
  #streams = 0;

  constructor(options: ContextOptions = {}) {
    this.training = options.training ?? false;
    this.seed = options.seed;
    this.continues = options.continues ?? false;
    this.taskIds = options.taskIds;
    this.adapterIds = options.adapterIds;
    this.prompt = options.prompt;
    this.#recompute = options.recompute ?? {};
  }

  /** What `compute`, all of block `index` or its MLP, gives; computed again in the backward pass if `recompute` says so. */
  keep(part: keyof Recomputation, index: number, compute: () => Tensor): Tensor {
    const { blocks = 0, mlps = 0 } = this.#recompute;
    const again = part === 'blocks' ? index < blocks : index >= blocks && index < mlps;
    return again ? checkpoint(compute) : compute();
  }

  /** The number of the next random draw of this pass: the same pass gives the same numbers. */
  nextStream(): number {
    return this.#streams++;
  }
}
