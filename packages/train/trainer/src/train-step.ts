import { CapturedStep, type Runtime } from '@graftjs/compiler';
import type { Batch } from '@graftjs/data';
import { BatchStep } from './loss-programs.ts';
import { StepGraphs, type StepGraphsOptions } from './step-graphs.ts';

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
}

/** Compiles and runs the graphs of optimizer steps. */
export class TrainStep {
  readonly #optimizer: StepGraphsOptions['optimizer'];
  readonly #graphs: StepGraphs;
  readonly #whole: BatchStep;
  readonly #micro: BatchStep;
  readonly #apply: CapturedStep<object>;

  constructor(runtime: Runtime, options: StepGraphsOptions) {
    const graphs = new StepGraphs(options);
    this.#optimizer = options.optimizer;
    this.#graphs = graphs;
    this.#whole = new BatchStep(runtime, (batch) => graphs.whole(batch));
    this.#micro = new BatchStep(runtime, (batch) => graphs.micro(batch));
    this.#apply = new CapturedStep(runtime, () => graphs.apply());
  }

  /** Compiles what the window needs; the first call of a shape takes long. */
  async prepare(window: readonly Batch[]): Promise<void> {
    for (const batch of window) await this.#stepFor(window).prepare(batch);
    if (window.length > 1) await this.#apply.prepare({});
  }

  /** Submits step `step` (0 for the first) and gives its numbers when the device has them. */
  async submit(
    window: readonly Batch[],
    step: number,
    learningRate: number,
    seed: number,
  ): Promise<() => Promise<StepResult>> {
    await this.prepare(window);
    this.#optimizer.beginStep(learningRate);
    const tokens = window.reduce((n, b) => n + b.supervisedTokens, 0);
    this.#graphs.scale.set(Float32Array.of(1 / tokens));
    let submitted: { readonly results: Promise<ArrayLike<number>[]> } | undefined;
    for (const [i, batch] of window.entries()) {
      this.#graphs.seed.set(Uint32Array.of(seed, step * 1024 + i));
      submitted = await this.#stepFor(window).submit(batch);
    }
    if (window.length > 1) submitted = await this.#apply.submit({});
    const { results } = submitted!;
    return async () => {
      const [loss, gradNorm] = await results;
      return { loss: loss![0]!, gradNorm: gradNorm![0]! };
    };
  }

  #stepFor(window: readonly Batch[]): BatchStep {
    return window.length === 1 ? this.#whole : this.#micro;
  }
}
