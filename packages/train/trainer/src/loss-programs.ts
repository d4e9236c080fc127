import type { Program, Runtime } from '@graftjs/compiler';
import type { Batch } from '@graftjs/data';
import { Context } from '@graftjs/nn';
import { mul, type Tensor, Variable } from '@graftjs/tensor';

/** What is trained: from a batch to the sum of its supervised tokens' losses, an f32 scalar. */
export type LossSum = (
  inputs: { readonly inputIds: Tensor; readonly labels: Tensor },
  context: Context,
) => Tensor;

/** The variables through which batches of one shape enter a program. */
export class BatchInputs {
  readonly inputIds: Variable;
  readonly labels: Variable;

  constructor(batchSize: number, length: number) {
    const shape = [batchSize, length];
    this.inputIds = new Variable(shape, undefined, { dtype: 'i32', name: 'inputIds' });
    this.labels = new Variable(shape, undefined, { dtype: 'i32', name: 'labels' });
  }
  set(batch: Batch): void {
    this.inputIds.set(Int32Array.from(batch.inputIds));
    this.labels.set(Int32Array.from(batch.labels));
  }
}

/**
 * A result that is awaited later or, where an earlier one ends the run, never: its failure then must not end the
 * process.
 */
export function heldBack<T>(result: Promise<T>): Promise<T> {
  result.catch(() => {});
  return result;
}

export const shapeKey = (batch: Batch): string => `${batch.batchSize}x${batch.length}`;

/** Held-out loss: one program for each batch shape, no dropout, no gradients. */
export class Evaluator {
  readonly #runtime: Runtime;
  readonly #lossSum: LossSum;
  readonly #programs = new Map<string, { inputs: BatchInputs; program: Promise<Program> }>();

  constructor(runtime: Runtime, lossSum: LossSum) {
    this.#runtime = runtime;
    this.#lossSum = lossSum;
  }

  /** Mean loss over the supervised tokens of all batches. */
  async loss(batches: Iterable<Batch>): Promise<number> {
    let total = 0;
    let tokens = 0;
    const pending: Promise<number>[] = [];
    for (const batch of batches) {
      const { inputs, program } = this.#programFor(batch);
      const ready = await program;
      inputs.set(batch);
      pending.push(heldBack(ready.run().then(([sum]) => sum![0]!)));
      tokens += batch.supervisedTokens;
      if (pending.length > 4) total += await pending.shift()!;
    }
    for (const sum of pending) total += await sum;
    return total / tokens;
  }

  #programFor(batch: Batch): { inputs: BatchInputs; program: Promise<Program> } {
    const key = shapeKey(batch);
    let known = this.#programs.get(key);
    if (!known) {
      const inputs = new BatchInputs(batch.batchSize, batch.length);
      const sum = this.#lossSum(inputs, new Context());
      known = { inputs, program: this.#runtime.compile({ outputs: [sum] }) };
      this.#programs.set(key, known);
    }
    return known;
  }
}

/** `sum * scale` where the scale, one over the tokens of the whole window, is data. */
export const scaledLoss = (sum: Tensor, scale: Variable): Tensor => mul(sum, scale);
