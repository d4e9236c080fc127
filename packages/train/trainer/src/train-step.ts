import type { Program, Runtime } from '@graftjs/compiler';
import type { Batch } from '@graftjs/data';
import { Context, type Parameter } from '@graftjs/nn';
import type { Optimizer, UpdateOptions } from '@graftjs/optim';
import { add, gradients, type HostArray, type Tensor, Variable, zeros } from '@graftjs/tensor';
import { BatchInputs, heldBack, type LossSum, scaledLoss, shapeKey } from './loss-programs.ts';

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
}

/**
 * The programs of one optimizer step. One micro-batch: forward, backward and update are one program. Several: each
 * adds its gradients, scaled by the supervised tokens of the whole window, to accumulators (so that the sum is the
 * gradient of the large batch), and a last program updates. Where the loss or the gradients are not finite, the update
 * changes nothing.
 */
export class TrainStep {
  readonly #runtime: Runtime;
  readonly #lossSum: LossSum;
  readonly #parameters: readonly Parameter[];
  readonly #optimizer: Optimizer;
  readonly #clipNorm: number | undefined;
  /** 1 / supervised tokens of the window. */
  readonly #scale = new Variable([], undefined, { name: 'loss scale' });
  /** Key of the step's random draws. */
  readonly #seed = new Variable([2], undefined, { dtype: 'u32', name: 'random seed' });
  /** Loss of the window's micro-batches so far. */
  readonly #lossSoFar = new Variable([], undefined, { name: 'loss so far' });
  readonly #whole = new Map<string, { inputs: BatchInputs; program: Promise<Program> }>();
  readonly #micro = new Map<string, { inputs: BatchInputs; program: Promise<Program> }>();
  #apply: Promise<Program> | undefined;

  constructor(
    runtime: Runtime,
    lossSum: LossSum,
    parameters: readonly Parameter[],
    optimizer: Optimizer,
    clipNorm: number | undefined,
  ) {
    this.#runtime = runtime;
    this.#lossSum = lossSum;
    this.#parameters = parameters;
    this.#optimizer = optimizer;
    this.#clipNorm = clipNorm;
  }

  /** Compiles what the window needs; the first call of a shape takes long. */
  async prepare(window: readonly Batch[]): Promise<void> {
    if (window.length === 1) await this.#wholeFor(window[0]!).program;
    else {
      for (const batch of window) await this.#microFor(batch).program;
      await this.#applyProgram();
    }
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
    this.#scale.set(Float32Array.of(1 / tokens));
    let numbers: Promise<HostArray[]> | undefined;
    for (const [i, batch] of window.entries()) {
      const { inputs, program } = window.length === 1 ? this.#wholeFor(batch) : this.#microFor(batch);
      const ready = await program;
      this.#seed.set(Uint32Array.of(seed, step * 1024 + i));
      inputs.set(batch);
      numbers = heldBack(ready.run());
    }
    if (window.length > 1) numbers = heldBack((await this.#applyProgram()).run());
    return async () => {
      const [loss, gradNorm] = (await numbers)!;
      return { loss: loss![0]!, gradNorm: gradNorm![0]! };
    };
  }

  #build(batch: Batch): { inputs: BatchInputs; loss: Tensor; grads: readonly Tensor[] } {
    const inputs = new BatchInputs(batch.batchSize, batch.length);
    const sum = this.#lossSum(inputs, new Context({ training: true, seed: this.#seed }));
    const loss = scaledLoss(sum, this.#scale);
    return { inputs, loss, grads: gradients(loss, this.#parameters) };
  }

  #wholeFor(batch: Batch): { inputs: BatchInputs; program: Promise<Program> } {
    return entry(this.#whole, shapeKey(batch), () => {
      const { inputs, loss, grads } = this.#build(batch);
      const { updates, gradNorm } = this.#optimizer.update(grads, this.#guarded(loss));
      return { inputs, program: this.#runtime.compile({ outputs: [loss, gradNorm], updates }) };
    });
  }

  #microFor(batch: Batch): { inputs: BatchInputs; program: Promise<Program> } {
    return entry(this.#micro, shapeKey(batch), () => {
      const { inputs, loss, grads } = this.#build(batch);
      const updates = this.#optimizer.accumulate(grads);
      const soFar = this.#lossSoFar;
      return { inputs, program: this.#runtime.compile({ updates: [...updates, [soFar, add(soFar, loss)]] }) };
    });
  }

  #applyProgram(): Promise<Program> {
    this.#apply ??= (() => {
      const soFar = this.#lossSoFar;
      const { updates, gradNorm } = this.#optimizer.applyAccumulated(this.#guarded(soFar));
      return this.#runtime.compile({ outputs: [soFar, gradNorm], updates: [...updates, [soFar, zeros([])]] });
    })();
    return this.#apply;
  }

  #guarded(loss: Tensor): UpdateOptions {
    return { guard: [loss], ...(this.#clipNorm === undefined ? {} : { clipNorm: this.#clipNorm }) };
  }
}

function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key) ?? make();
  map.set(key, known);
  return known;
}
