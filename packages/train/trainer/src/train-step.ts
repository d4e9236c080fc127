import type { Program, Runtime } from '@graftjs/compiler';
import type { Batch } from '@graftjs/data';
import type { HostArray } from '@graftjs/tensor';
import { BatchPrograms, heldBack } from './loss-programs.ts';
import { StepGraphs, type StepGraphsOptions } from './step-graphs.ts';

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
}

/** Compiles and runs the graphs of optimizer steps. */
export class TrainStep {
  readonly #runtime: Runtime;
  readonly #optimizer: StepGraphsOptions['optimizer'];
  readonly #graphs: StepGraphs;
  readonly #whole: BatchPrograms;
  readonly #micro: BatchPrograms;
  #apply: Promise<Program> | undefined;

  constructor(runtime: Runtime, options: StepGraphsOptions) {
    const graphs = new StepGraphs(options);
    this.#runtime = runtime;
    this.#optimizer = options.optimizer;
    this.#graphs = graphs;
    this.#whole = new BatchPrograms(runtime, (shape) => graphs.whole(shape));
    this.#micro = new BatchPrograms(runtime, (shape) => graphs.micro(shape));
  }

  /** Compiles what the window needs; the first call of a shape takes long. */
  async prepare(window: readonly Batch[]): Promise<void> {
    for (const batch of window) await this.#programsFor(window).of(batch);
    if (window.length > 1) await this.#applyProgram();
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
    let numbers: Promise<HostArray[]> | undefined;
    for (const [i, batch] of window.entries()) {
      const { inputs, program } = await this.#programsFor(window).of(batch);
      this.#graphs.seed.set(Uint32Array.of(seed, step * 1024 + i));
      inputs.set(batch);
      numbers = heldBack(program.run());
    }
    if (window.length > 1) numbers = heldBack((await this.#applyProgram()).run());
    return async () => {
      const [loss, gradNorm] = (await numbers)!;
      return { loss: loss![0]!, gradNorm: gradNorm![0]! };
    };
  }

  #programsFor(window: readonly Batch[]): BatchPrograms {
    return window.length === 1 ? this.#whole : this.#micro;
  }

  #applyProgram(): Promise<Program> {
    this.#apply ??= this.#runtime.compile(this.#graphs.apply());
    return this.#apply;
  }
}
