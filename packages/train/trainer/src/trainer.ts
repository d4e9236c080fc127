import { type Checkpoint, type FileContent, writeCheckpoint } from '@graftjs/checkpoint';
import { type Batch, DataLoader } from '@graftjs/data';
import { DeviceLostError } from '@graftjs/webgpu';
import { DivergedError, ResumeError, RunLostError } from './errors.ts';
import { Evaluator } from './loss-programs.ts';
import {
  type BestStep,
  encodeVariables,
  type RunState,
  readVariables,
  restoreVariables,
  savedValues,
} from './run-state.ts';
import { SkipCount } from './skip-count.ts';
import { StepClock } from './step-clock.ts';
import { type StepResult, TrainStep } from './train-step.ts';
import type { TrainerOptions, TrainResult } from './trainer-options.ts';

/** Trains: windows of batches into optimizer steps, with evaluation, checkpoints and exact continuation. */
export class Trainer {
  readonly #options: TrainerOptions;
  readonly #loader: DataLoader;
  readonly #step: TrainStep;
  readonly #evaluator: Evaluator;
  #done = 0;
  #tokens = 0;
  /** Steps whose numbers were read. */
  #seen = 0;
  /** Numbers of the last step that was read and not skipped. */
  #last: StepResult = { loss: Number.NaN, gradNorm: Number.NaN };
  /** The step of the newest checkpoint of this trainer. */
  #saved: number | undefined;
  #best: BestStep | undefined;
  readonly #skips: SkipCount;

  /** @throws RangeError where `skipLimit` is no whole number from 1 on */
  constructor(options: TrainerOptions) {
    this.#options = options;
    this.#skips = new SkipCount(options.skipLimit ?? 5);
    const { collate, batchSize, packing, seed = 0 } = options;
    this.#loader = new DataLoader(options.examples, { ...collate, batchSize, packing, seed });
    this.#step = new TrainStep(options.runtime, {
      ...options,
      parameters: [...options.parameters.values()],
    });
    this.#evaluator = new Evaluator(options.runtime, options.lossSum);
  }

  /** Steps done so far. */
  get step(): number {
    return this.#done;
  }

  /** Mean loss over all supervised tokens of the held-out examples. */
  async heldOutLoss(): Promise<number> {
    const { heldOut, collate, batchSize, packing } = this.#options;
    const { loss } = await this.#evaluator.evaluate(
      new DataLoader(heldOut ?? [], { ...collate, batchSize, packing, shuffle: false, epochs: 1 }),
    );
    return loss;
  }

  /**
   * Continues where a checkpoint of this run stopped: the same parameters, optimizer state, order of examples and
   * random draws, so the steps that follow are the same to the bit on the same device.
   * @throws ResumeError where the checkpoint is of other settings; TensorMissingError, ShapeMismatchError,
   *   DataError where it is of other parameters or data
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
    const { optimizer } = this.#options;
    optimizer.loadState(await savedValues(checkpoint, 'optimizer.safetensors', optimizer.state()));
    this.#loader.restore(state.cursor);
    this.#done = state.step;
    this.#seen = state.step;
    this.#saved = state.step;
    this.#tokens = state.tokens;
    this.#best = state.best;
  }

  /**
   * Runs to the last step, or until the signal asks to stop.
   * @throws DivergedError where `skipLimit` steps in a row were skipped, or a parameter is not finite; RunLostError
   *   where the device was lost. Checkpoints stand.
   */
  async train(): Promise<TrainResult> {
    try {
      return await this.#train();
    } catch (error) {
      throw error instanceof DeviceLostError ? new RunLostError(error, this.#seen, this.#saved) : error;
    }
  }

  async #train(): Promise<TrainResult> {
    const { totalSteps, signal, beforeStep, evaluateEvery, saveEvery, keepBest, heldOut } = this.#options;
    const firstStep = this.#done;
    const clock = new StepClock(totalSteps);
    let heldOutLoss: number | undefined;
    // The numbers of a step are read while the next one runs, so that the device never waits.
    let unread: (() => Promise<void>) | undefined;
    const readLast = async (): Promise<void> => {
      const read = unread;
      unread = undefined;
      await read?.();
    };
    while (this.#done < totalSteps && !signal?.aborted) {
      if (beforeStep) {
        await beforeStep();
        if (signal?.aborted) break;
      }
      const index = this.#done;
      const epoch = this.#loader.progress;
      const window = this.#nextWindow();
      await this.#step.prepare(window);
      const learningRate = this.#options.learningRate(index);
      const submitted = performance.now();
      const read = await this.#step.submit(window, index, learningRate, this.#options.seed ?? 0);
      const result = heldBack(read().then((numbers) => ({ numbers, completed: performance.now() })));
      const tokens = window.reduce((n, b) => n + b.tokens, 0);
      await readLast();
      unread = async () => {
        const { numbers, completed } = await result;
        const skipped = !(Number.isFinite(numbers.loss) && Number.isFinite(numbers.gradNorm));
        this.#seen = index + 1;
        if (!skipped) this.#last = numbers;
        this.#options.onEvent?.({
          event: 'step',
          step: index + 1,
          totalSteps,
          epoch,
          ...numbers,
          skipped,
          learningRate,
          tokens,
          ...clock.step(index + 1, tokens, submitted, completed),
          peakBytes: this.#options.runtime.gpu.stats().peakBytes,
        });
        this.#skips.count(index + 1, numbers, skipped);
      };
      this.#done++;
      this.#tokens += tokens;
      const atEnd = this.#done === totalSteps;
      if (heldOut?.length && (atEnd || (evaluateEvery && this.#done % evaluateEvery === 0))) {
        await readLast();
        heldOutLoss = await this.#evaluate();
      }
      const isBest = keepBest && this.#best?.step === this.#done;
      if (isBest || (saveEvery && (atEnd || this.#done % saveEvery === 0))) {
        await readLast();
        await this.save();
      }
    }
    await readLast();
    const interrupted = this.#done < totalSteps;
    if (interrupted && this.#done > firstStep && this.#saved !== this.#done) await this.save();
    return {
      steps: this.#done,
      interrupted,
      loss: this.#last.loss,
      skipped: this.#skips.total,
      heldOutLoss,
      best: keepBest ? this.#best : undefined,
      tokens: this.#tokens,
      seconds: clock.seconds,
    };
  }

  /**
   * Writes a checkpoint of the steps done so far, whole or not at all.
   * @throws DivergedError where a parameter is not finite: such a checkpoint would replace one that is of use
   */
  async save(): Promise<void> {
    const { checkpoints, runtime, parameters, optimizer, extraFiles, onEvent, keep, keepBest } =
      this.#options;
    if (!checkpoints) return;
    const state: RunState = {
      version: 1,
      step: this.#done,
      cursor: this.#loader.cursor,
      seed: this.#options.seed ?? 0,
      tokens: this.#tokens,
      settings: this.#settings(),
      ...(keepBest && this.#best ? { best: this.#best } : {}),
    };
    const trainable = await readVariables(runtime, parameters);
    for (const [name, { data }] of trainable)
      if (!data.every(Number.isFinite))
        throw new DivergedError(this.#done, this.#last, `${name} is no longer finite`);
    const files = new Map<string, FileContent>([
      ['trainable.safetensors', encodeVariables(trainable)],
      ['optimizer.safetensors', encodeVariables(await readVariables(runtime, optimizer.state()))],
      ['trainer_state.json', new TextEncoder().encode(JSON.stringify(state, null, 2))],
      ...((await extraFiles?.()) ?? []),
    ]);
    const folder = await writeCheckpoint(checkpoints, this.#done, files, {
      keep: keep ?? 3,
      protect: state.best ? [state.best.step] : [],
    });
    this.#saved = this.#done;
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
    if (loss < (this.#best?.loss ?? Number.POSITIVE_INFINITY)) this.#best = { step: this.#done, loss };
    return loss;
  }

  #nextWindow(): Batch[] {
    return Array.from({ length: this.#options.accumulate ?? 1 }, () => this.#loader.next()!);
  }

  #settings(): Readonly<Record<string, unknown>> {
    const { batchSize, accumulate, totalSteps, clipNorm, seed, packing, settings } = this.#options;
    return {
      ...settings,
      batchSize,
      accumulate: accumulate ?? 1,
      ...(packing ? { packing } : {}),
      totalSteps,
      clipNorm: clipNorm ?? null,
      seed: seed ?? 0,
      parameters: [...this.#options.parameters].map(([name, p]) => `${name} [${p.shape}]`),
    };
  }
}

/**
 * A result that is awaited later or, where an earlier one ends the run, never: its failure then must not end the
 * process.
 */
function heldBack<T>(result: Promise<T>): Promise<T> {
  result.catch(() => {});
  return result;
}
