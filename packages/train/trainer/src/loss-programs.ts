import type { Program, ProgramRequest, Runtime } from '@graftjs/compiler';
import type { Batch } from '@graftjs/data';
import { Context } from '@graftjs/nn';
import { type Tensor, Variable } from '@graftjs/tensor';

/** A batch as tensors. */
export interface BatchTensors {
  /** i32 `[b, t]`. */
  readonly inputIds: Tensor;
  /** i32 `[b, t]`, not shifted, -100 where nothing is learnt. */
  readonly labels: Tensor;
  /** i32 `[b, t, 2]`, of packed batches only: where the text of each token begins and ends in its row. */
  readonly segments?: Tensor;
}

/**
 * What is trained: from a batch to the sum of its supervised tokens' losses, an f32 scalar. Whoever packs hands
 * `segments` on to the model.
 */
export type LossSum = (batch: BatchTensors, context: Context) => Tensor;

/** What of a batch its program depends on. */
export type BatchShape = Pick<Batch, 'batchSize' | 'length' | 'segments'>;

/** The variables through which batches of one shape enter a program. */
export class BatchInputs implements BatchTensors {
  readonly inputIds: Variable;
  readonly labels: Variable;
  readonly segments?: Variable;

  constructor({ batchSize, length, segments }: BatchShape) {
    const input = (name: string, ...more: number[]): Variable =>
      new Variable([batchSize, length, ...more], undefined, { dtype: 'i32', name });
    this.inputIds = input('inputIds');
    this.labels = input('labels');
    if (segments) this.segments = input('segments', 2);
  }
  set(batch: Batch): void {
    this.inputIds.set(Int32Array.from(batch.inputIds));
    this.labels.set(Int32Array.from(batch.labels));
    this.segments?.set(Int32Array.from(batch.segments!));
  }
}

/** A program yet to be compiled, and how batches enter it. */
export interface BatchGraph {
  readonly inputs: BatchInputs;
  readonly request: ProgramRequest;
}

/** The loss of batches of a shape, without dropout and without gradients. */
export function evaluationGraph(lossSum: LossSum, shape: BatchShape): BatchGraph {
  const inputs = new BatchInputs(shape);
  return { inputs, request: { outputs: [lossSum(inputs, new Context())] } };
}

interface BatchProgram {
  readonly inputs: BatchInputs;
  readonly program: Program;
}

/** The programs of a graph over batches, one for each shape. */
export class BatchPrograms {
  readonly #runtime: Runtime;
  readonly #build: (shape: BatchShape) => BatchGraph;
  readonly #programs = new Map<string, Promise<BatchProgram>>();

  constructor(runtime: Runtime, build: (shape: BatchShape) => BatchGraph) {
    this.#runtime = runtime;
    this.#build = build;
  }

  /** @throws TypeError where the batch is packed and the loss does not look at its segments */
  of(batch: BatchShape): Promise<BatchProgram> {
    const key = `${batch.batchSize}x${batch.length}${batch.segments ? ' packed' : ''}`;
    let known = this.#programs.get(key);
    if (!known) {
      known = this.#compile(batch);
      this.#programs.set(key, known);
    }
    return known;
  }

  async #compile(batch: BatchShape): Promise<BatchProgram> {
    const { inputs, request } = this.#build(batch);
    const program = await this.#runtime.compile(request);
    if (inputs.segments && !program.variables.includes(inputs.segments))
      throw new TypeError(
        'the batches are packed, but lossSum does not use their segments, so that texts would see each other: hand them on to the model, or train without packing',
      );
    return { inputs, program };
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

/** What batches came to. */
export interface Evaluation {
  /** Mean over the supervised tokens. */
  readonly loss: number;
  readonly supervisedTokens: number;
  /** All, without padding. */
  readonly tokens: number;
}

/** Runs {@link evaluationGraph}: one program for each batch shape. */
export class Evaluator {
  readonly #programs: BatchPrograms;

  constructor(runtime: Runtime, lossSum: LossSum) {
    this.#programs = new BatchPrograms(runtime, (shape) => evaluationGraph(lossSum, shape));
  }

  async evaluate(batches: Iterable<Batch>): Promise<Evaluation> {
    let total = 0;
    let supervisedTokens = 0;
    let tokens = 0;
    const pending: Promise<number>[] = [];
    for (const batch of batches) {
      const { inputs, program } = await this.#programs.of(batch);
      inputs.set(batch);
      pending.push(heldBack(program.run().then(([sum]) => sum![0]!)));
      supervisedTokens += batch.supervisedTokens;
      tokens += batch.tokens;
      if (pending.length > 4) total += await pending.shift()!;
    }
    for (const sum of pending) total += await sum;
    return { loss: total / supervisedTokens, supervisedTokens, tokens };
  }
}
