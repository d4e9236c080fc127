import type { Tensor } from '@graftjs/tensor';

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
  /** i32 `[b]`: the task that each text belongs to, for adapters that have parameters by task. */
  readonly taskIds?: Tensor;
}

/** What a forward pass is told beside its inputs. A new one for each pass: it numbers the random draws in order. */
export class Context {
  readonly training: boolean;
  readonly seed: Tensor | undefined;
  readonly continues: boolean;
  readonly taskIds: Tensor | undefined;
  #streams = 0;

  constructor(options: ContextOptions = {}) {
    this.training = options.training ?? false;
    this.seed = options.seed;
    this.continues = options.continues ?? false;
    this.taskIds = options.taskIds;
  }

  /** The number of the next random draw of this pass: the same pass gives the same numbers. */
  nextStream(): number {
    return this.#streams++;
  }
}
