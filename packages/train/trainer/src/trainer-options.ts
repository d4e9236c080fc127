import type { FileContent, Folder } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { CollateOptions, DataLoaderOptions, Example } from '@graftjs/data';
import type { Parameter, Recomputation } from '@graftjs/nn';
import type { Optimizer } from '@graftjs/optim';
import type { TrainEvent } from './events.ts';
import type { LossSum } from './loss-programs.ts';
import type { BestStep } from './run-state.ts';

export interface TrainerOptions {
  readonly runtime: Runtime;
  readonly lossSum: LossSum;
  /** What is trained, by name. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly optimizer: Optimizer;
  /** Learning rate of step 0, 1, … */
  readonly learningRate: (step: number) => number;
  readonly examples: readonly Example[];
  readonly collate: CollateOptions;
  /** Examples of one micro-batch; with packing: blocks. */
  readonly batchSize: number;
  /** Examples are packed into blocks of `collate.maxLength` tokens: see `DataLoader`. Default false. */
  readonly packing?: DataLoaderOptions['packing'];
  /** Micro-batches of one step. Default 1. */
  readonly accumulate?: number;
  readonly totalSteps: number;
  /** Greatest global norm of the gradients; left out: no clipping. */
  readonly clipNorm?: number;
  /**
   * Blocks, or MLPs of blocks, that are computed again in the backward pass, counted from the first: less memory for more
   * time, the same numbers. Default: none.
   */
  readonly recompute?: Recomputation;
  /**
   * A step whose loss or gradients are not finite is skipped: it changes nothing. So many in a row end training with
   * `DivergedError`. Default 5.
   */
  readonly skipLimit?: number;
  /** Of the order of examples and of dropout. Default 0. */
  readonly seed?: number;
  readonly heldOut?: readonly Example[];
  /** Evaluated after the last step, and every so many steps where this is given. */
  readonly evaluateEvery?: number;
  /** Where checkpoints go; left out: none are written. */
  readonly checkpoints?: Folder;
  /** Steps between checkpoints; one more is written after the last step, and one where training is interrupted. */
  readonly saveEvery?: number;
  /** Checkpoints that stay. Default 3. */
  readonly keep?: number;
  /**
   * Saves also where an evaluation gives the lowest held-out loss so far, and keeps that checkpoint beside the newest
   * ones. Default false.
   */
  readonly keepBest?: boolean;
  /** More files of each checkpoint, such as the adapter in the form that others load. */
  readonly extraFiles?: () => Promise<ReadonlyMap<string, FileContent>>;
  /** Settings that a continuation must share. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly onEvent?: (event: TrainEvent) => void;
  /** Awaited before each step, outside the time of steps: training pauses while it lasts. */
  readonly beforeStep?: () => Promise<void> | void;
  /** Stops after the step that runs, saves a checkpoint, and returns. */
  readonly signal?: AbortSignal;
}

export interface TrainResult {
  readonly steps: number;
  readonly interrupted: boolean;
  /** Of the last step that was not skipped; NaN where there was none. */
  readonly loss: number;
  /** Steps that were skipped since their loss or gradients were not finite. */
  readonly skipped: number;
  /** Of the last evaluation. */
  readonly heldOutLoss: number | undefined;
  /** Where `keepBest` is set: the step with the lowest held-out loss, of this run and what it continued. */
  readonly best: BestStep | undefined;
  readonly tokens: number;
  readonly seconds: number;
}
