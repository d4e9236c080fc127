import {
  CapturedStep,
  type ProgramRequest,
  type Runtime,
  type StepInputs,
  UnusedInputError,
} from '@graftjs/compiler';
import type { Batch } from '@graftjs/data';
import { Context } from '@graftjs/nn';
import { type Tensor, type TensorSpec, Variable } from '@graftjs/tensor';

/** A batch as tensors. */
export interface BatchTensors {
  /** i32 `[b, t]`. */
  readonly inputIds: Tensor;
  /** i32 `[b, t]`, not shifted, -100 where nothing is learnt; of encoder-decoders i32 `[b, labels]`, what they answer. */
  readonly labels: Tensor;
  /** i32 `[b, t]`, of encoder-decoders' batches only: 0 where an id is padding. */
  readonly keyMask?: Tensor;
  /** i32 `[b, t, 2]`, of packed batches only: where the text of each token begins and ends in its row. */
  readonly segments?: Tensor;
}

/**
 * What is trained: from a batch to the sum of its supervised tokens' losses, an f32 scalar. Whoever packs hands
 * `segments` on to the model, and who trains an encoder-decoder `keyMask`.
 */
export type LossSum = (batch: BatchTensors, context: Context) => Tensor;

/** What of a batch its program depends on. */
export type BatchShape = Pick<Batch, 'batchSize' | 'length' | 'labelLength' | 'segments'>;

const specsOf = (shape: BatchShape): StepInputs<BatchTensors, TensorSpec> => {
  const { batchSize, length, labelLength, segments } = shape;
  const ids: TensorSpec = { shape: [batchSize, length], dtype: 'i32' };
  return {
    inputIds: ids,
    labels: labelLength === undefined ? ids : { shape: [batchSize, labelLength], dtype: 'i32' },
    ...(labelLength === undefined ? {} : { keyMask: ids }),
    ...(segments ? { segments: { shape: [batchSize, length, 2], dtype: 'i32' } } : {}),
  };
};

/** Variables of a batch's shape: for graphs that are planned and not run. */
export function batchVariables(shape: BatchShape): BatchTensors {
  const variables = Object.entries(specsOf(shape)).map(([name, { shape: extents, dtype }]) => [
    name,
    new Variable(extents, undefined, { dtype, name }),
  ]);
  return Object.fromEntries(variables) as BatchTensors;
}

const inputsOf = (batch: Batch): StepInputs<BatchTensors> => {
  const specs = specsOf(batch);
  return {
    inputIds: { ...specs.inputIds, data: Int32Array.from(batch.inputIds) },
    labels: { ...specs.labels, data: Int32Array.from(batch.labels) },
    ...(specs.keyMask ? { keyMask: { ...specs.keyMask, data: Int32Array.from(batch.attentionMask) } } : {}),
    ...(specs.segments ? { segments: { ...specs.segments, data: Int32Array.from(batch.segments!) } } : {}),
  };
};

/** The loss of a batch, without dropout and without gradients. */
export const evaluationGraph = (lossSum: LossSum, batch: BatchTensors): ProgramRequest => ({
  outputs: [lossSum(batch, new Context())],
});

/** A graph over batches as a captured step: one program for each shape. */
export class BatchStep {
  readonly #step: CapturedStep<BatchTensors>;

  constructor(runtime: Runtime, build: (batch: BatchTensors) => ProgramRequest) {
    this.#step = new CapturedStep(runtime, build);
  }

  /** @throws TypeError where the loss does not look at the segments of a packed batch, or at the mask of an encoder's */
  async prepare(batch: BatchShape): Promise<void> {
    await this.#step.prepare(specsOf(batch)).catch(rethrow);
  }

  /** Submits the batch; its numbers are awaited on their own, or never. Errors as those of {@link prepare}. */
  async submit(batch: Batch): Promise<{ readonly results: Promise<ArrayLike<number>[]> }> {
    return this.#step.submit(inputsOf(batch)).catch(rethrow);
  }
}

/** What goes wrong where a loss does not look at a part of its batches. */
const unusedInputs: Readonly<Record<string, string>> = {
  segments:
    'the batches are packed, but lossSum does not use their segments, so that texts would see each other: hand them on to the model, or train without packing',
  keyMask:
    'the batches are padded for an encoder, but lossSum does not use their keyMask, so that texts would see the padding: hand it on to the model',
};

function rethrow(error: unknown): never {
  const unused = error instanceof UnusedInputError ? unusedInputs[error.input] : undefined;
  throw unused === undefined ? error : new TypeError(unused);
}

/** What batches came to. */
export interface Evaluation {
  /** Mean over the supervised tokens. */
  readonly loss: number;
  readonly supervisedTokens: number;
  /** All, without padding. */
  readonly tokens: number;
}

/** How many batches may be on the device at a time. */
const ahead = 4;

/** Runs {@link evaluationGraph}: one program for each batch shape. */
export class Evaluator {
  readonly #step: BatchStep;

  constructor(runtime: Runtime, lossSum: LossSum) {
    this.#step = new BatchStep(runtime, (batch) => evaluationGraph(lossSum, batch));
  }

  async evaluate(batches: Iterable<Batch>): Promise<Evaluation> {
    let total = 0;
    let supervisedTokens = 0;
    let tokens = 0;
    const pending: Promise<ArrayLike<number>[]>[] = [];
    const add = async (): Promise<void> => {
      const [sum] = await pending.shift()!;
      total += sum![0]!;
    };
    for (const batch of batches) {
      pending.push((await this.#step.submit(batch)).results);
      supervisedTokens += batch.supervisedTokens;
      tokens += batch.tokens;
      if (pending.length > ahead) await add();
    }
    while (pending.length > 0) await add();
    return { loss: total / supervisedTokens, supervisedTokens, tokens };
  }
}
