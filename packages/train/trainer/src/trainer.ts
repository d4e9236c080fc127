import { type Checkpoint, type FileContent, type Folder, writeCheckpoint } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { type Batch, type CollateOptions, DataLoader, type Example } from '@graftjs/data';
import type { Parameter } from '@graftjs/nn';
import type { AdamW } from '@graftjs/optim';
import { DivergedError, ResumeError } from './errors.ts';
import type { TrainEvent } from './events.ts';
import { Evaluator, type LossSum } from './loss-programs.ts';
import { encodeVariables, type RunState, restoreVariables } from './run-state.ts';
import { type StepResult, TrainStep } from './train-step.ts';

export interface TrainerOptions {
  readonly runtime: Runtime;
  readonly lossSum: LossSum;
  /** What is trained, by name. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly optimizer: AdamW;
  /** Learning rate of step 0, 1, … */
  readonly learningRate: (step: number) => number;
  readonly examples: readonly Example[];
  readonly collate: CollateOptions;
  /** Examples of one micro-batch. */
  readonly batchSize: number;
  /** Micro-batches of one step. Default 1. */
  readonly accumulate?: number;
  readonly totalSteps: number;
  /** Greatest global norm of the gradients; left out: no clipping. */
  readonly clipNorm?: number;
  /** Of the order of examples and of dropout. Default 0. */
  readonly seed?: number;
  readonly heldOut?: readonly Example[];
  /** Steps between evaluations; one more is made at the end. */
  readonly evaluateEvery?: number;
  /** Where checkpoints go; left out: none are written. */
  readonly checkpoints?: Folder;
  readonly saveEvery?: number;
  /** Checkpoints that stay. Default 3. */
  readonly keep?: number;
  /** More files of each checkpoint, such as the adapter in the form that others load. */
  readonly extraFiles?: () => Promise<ReadonlyMap<string, FileContent>>;
  /** Settings that a continuation must share. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly onEvent?: (event: TrainEvent) => void;
  /** Stops after the step that runs, saves a checkpoint, and returns. */
  readonly signal?: AbortSignal;
}

export interface TrainResult {
  readonly steps: number;
  readonly interrupted: boolean;
  /** Of the last step. */
  readonly loss: number;
  /** Of the last evaluation. */
  readonly heldOutLoss: number | undefined;
  readonly tokens: number;
  readonly seconds: number;
}

/** Trains: windows of batches into optimizer steps, with evaluation, checkpoints and exact continuation. */
export class Trainer {
  readonly #options: TrainerOptions;
  readonly #loader: DataLoader;
  readonly #step: TrainStep;
  readonly #evaluator: Evaluator;
  #done = 0;
  #tokens = 0;

  constructor(options: TrainerOptions) {
    this.#options = options;
    this.#loader = new DataLoader(options.examples, {
      ...options.collate,
      batchSize: options.batchSize,
      seed: options.seed ?? 0,
    });
    this.#step = new TrainStep(
      options.runtime,
      options.lossSum,
      [...options.parameters.values()],
      options.optimizer,
      options.clipNorm,
    );
    this.#evaluator = new Evaluator(options.runtime, options.lossSum);
  }

  /** Steps done so far. */
  get step(): number {
    return this.#done;
  }

  /** Mean loss over the held-out examples. */
  async heldOutLoss(): Promise<number> {
    const { heldOut, collate, batchSize } = this.#options;
    return this.#evaluator.loss(
      new DataLoader(heldOut ?? [], { ...collate, batchSize, shuffle: false, epochs: 1 }),
    );
  }

  /**
   * Continues where a checkpoint of this run stopped: the same parameters, optimizer state, order of examples and
   * random draws, so the steps that follow are the same to the bit on the same device.
   * @throws ResumeError where the checkpoint is of other settings
   */
  async resume(checkpoint: Checkpoint): Promise<void> {
    const source = await checkpoint.open('trainer_state.json');
    const state = JSON.parse(new TextDecoder().decode(await source.read(0, await source.size()))) as RunState;
    if (state.version !== 1) throw new ResumeError('version', state.version, 1);
    const settings = this.#settings();
    for (const key of new Set([...Object.keys(settings), ...Object.keys(state.settings)]))
      if (JSON.stringify(settings[key]) !== JSON.stringify(state.settings[key]))
        throw new ResumeError(key, state.settings[key], settings[key]);
    await restoreVariables(checkpoint, 'trainable.safetensors', this.#options.parameters);
    await restoreVariables(checkpoint, 'optimizer.safetensors', this.#options.optimizer.state());
    this.#loader.restore(state.cursor);
    this.#done = state.step;
    this.#tokens = state.tokens;
  }

  /** Runs to the last step, or until the signal asks to stop. */
  async train(): Promise<TrainResult> {
    const { totalSteps, onEvent, signal, evaluateEvery, saveEvery, heldOut } = this.#options;
    const start = performance.now();
    const firstStep = this.#done;
    let last = Number.NaN;
    let heldOutLoss: number | undefined;
    let pending: (() => Promise<void>) | undefined;
    let stepStart = start;
    const finish = async (): Promise<void> => {
      const waiting = pending;
      pending = undefined;
      await waiting?.();
    };
    while (this.#done < totalSteps && !signal?.aborted) {
      const index = this.#done;
      const epoch = this.#loader.cursor.epoch + this.#loader.cursor.index / this.#options.examples.length;
      const window = this.#nextWindow();
      const learningRate = this.#options.learningRate(index);
      const result = await this.#step.submit(window, index, learningRate, this.#options.seed ?? 0);
      const tokens = window.reduce((n, b) => n + b.tokens, 0);
      await finish();
      pending = async () => {
        const { loss, gradNorm } = await result();
        this.#check(index + 1, { loss, gradNorm });
        last = loss;
        const now = performance.now();
        const seconds = (now - stepStart) / 1000;
        stepStart = now;
        const perStep = (now - start) / 1000 / (index + 1 - firstStep);
        onEvent?.({
          event: 'step',
          step: index + 1,
          totalSteps,
          epoch,
          loss,
          learningRate,
          gradNorm,
          tokens,
          tokensPerSecond: tokens / seconds,
          peakBytes: this.#options.runtime.gpu.stats().peakBytes,
          secondsLeft: perStep * (totalSteps - index - 1),
        });
      };
      this.#done++;
      this.#tokens += tokens;
      const atEnd = this.#done === totalSteps;
      if (heldOut?.length && evaluateEvery && (this.#done % evaluateEvery === 0 || atEnd)) {
        await finish();
        heldOutLoss = await this.#evaluate();
        stepStart = performance.now();
      }
      if (saveEvery && (this.#done % saveEvery === 0 || atEnd)) {
        await finish();
        await this.save();
        stepStart = performance.now();
      }
    }
    await finish();
    const interrupted = this.#done < totalSteps;
    if (interrupted && this.#options.checkpoints && this.#done > firstStep) await this.save();
    return {
      steps: this.#done,
      interrupted,
      loss: last,
      heldOutLoss,
      tokens: this.#tokens,
      seconds: (performance.now() - start) / 1000,
    };
  }

  /** Writes a checkpoint of the steps done so far, whole or not at all. */
  async save(): Promise<void> {
    const { checkpoints, runtime, parameters, optimizer, extraFiles, onEvent, keep } = this.#options;
    if (!checkpoints) return;
    const state: RunState = {
      version: 1,
      step: this.#done,
      cursor: this.#loader.cursor,
      seed: this.#options.seed ?? 0,
      tokens: this.#tokens,
      settings: this.#settings(),
    };
    const files = new Map<string, FileContent>([
      ['trainable.safetensors', await encodeVariables(runtime, parameters)],
      ['optimizer.safetensors', await encodeVariables(runtime, optimizer.state())],
      ['trainer_state.json', new TextEncoder().encode(JSON.stringify(state, null, 2))],
      ...((await extraFiles?.()) ?? []),
    ]);
    const folder = await writeCheckpoint(checkpoints, this.#done, files, { keep: keep ?? 3 });
    onEvent?.({ event: 'checkpoint', step: this.#done, location: folder.location });
  }

  async #evaluate(): Promise<number> {
    const start = performance.now();
    const loss = await this.heldOutLoss();
    this.#options.onEvent?.({
      event: 'evaluation',
      step: this.#done,
      loss,
      seconds: (performance.now() - start) / 1000,
    });
    return loss;
  }

  #nextWindow(): Batch[] {
    return Array.from({ length: this.#options.accumulate ?? 1 }, () => this.#loader.next()!);
  }

  #check(step: number, { loss, gradNorm }: StepResult): void {
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw new DivergedError(step, loss, gradNorm);
  }

  #settings(): Readonly<Record<string, unknown>> {
    const { batchSize, accumulate, totalSteps, clipNorm, seed, settings } = this.#options;
    return {
      ...settings,
      batchSize,
      accumulate: accumulate ?? 1,
      totalSteps,
      clipNorm: clipNorm ?? null,
      seed: seed ?? 0,
      parameters: [...this.#options.parameters].map(([name, p]) => `${name} [${p.shape}]`),
    };
  }
}
