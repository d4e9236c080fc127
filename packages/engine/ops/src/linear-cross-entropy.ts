/**
 * Cross entropy of a language model's head without its logits in memory: rows are taken in chunks, and a chunk's logits
 * become their own gradient and are gone before the next chunk's begin. What stays is the gradient of each row's loss
 * to its hidden state, `slopes = (softmax(h Wᵀ) - onehot) W`, which the loss's cotangent scales row by row: the backward
 * pass has no product with W left (the idea of Liger Kernel's FusedLinearCrossEntropy, Hsu et al., 2024).
 */
import {
  type Attrs,
  add,
  applyOp,
  backpropagate,
  cast,
  concat,
  defineOp,
  linear,
  matmul,
  mul,
  narrow,
  type Op,
  ones,
  recompute,
  reshape,
  type Shape,
  ShapeError,
  type Tensor,
  transpose,
  type VjpContext,
} from '@graftjs/tensor';
import { type CrossEntropyOptions, crossEntropyGradientOp, crossEntropyOp } from './cross-entropy.ts';

/** Logits of a chunk, and the fewest rows: what keeps a device busy. */
const chunkElements = 2 ** 22;
const fewestRows = 128;

/** Rows of a chunk: for 49,152 classes 128, whose logits take 25 MB. */
const rowsOf = (classes: number): number =>
  Math.max(fewestRows, Math.floor(chunkElements / classes / 32) * 32);

interface Chunk {
  readonly hidden: Tensor;
  readonly start: number;
  readonly count: number;
}

function chunksOf(hidden: Tensor, rows: number): Chunk[] {
  const n = hidden.shape[0]!;
  return Array.from({ length: Math.ceil(n / rows) }, (_, i) => {
    const start = i * rows;
    const count = Math.min(rows, n - start);
    return { hidden: narrow(hidden, 0, start, count), start, count };
  });
}

const losses = ({ hidden, start }: Chunk, weight: Tensor, labels: Tensor, { ignoreIndex }: Attrs) => {
  const attrs = { ignoreIndex: ignoreIndex!, first: start };
  const logits = linear(hidden, weight);
  const [loss, normalizer] = applyOp(crossEntropyOp, [logits, labels], attrs);
  const gradient = (dLoss: Tensor): Tensor =>
    applyOp(crossEntropyGradientOp, [logits, labels, normalizer!, dLoss], attrs)[0]!;
  return { loss: loss!, gradient };
};

function vjp({ inputs, cotangents: [dLoss, dSlopes], outputs, attrs, needs }: VjpContext) {
  const [hidden, weight, labels] = inputs as [Tensor, Tensor, Tensor];
  if (!dLoss || dSlopes) {
    const wanted = inputs.filter((_, i) => needs[i]);
    const parts = backpropagate(decompose(inputs, attrs), [dLoss, dSlopes], wanted, inputs);
    return needs.map((needed, i) => (needed ? parts[wanted.indexOf(inputs[i]!)] : undefined));
  }
  return [
    needs[0] ? mul(outputs[1]!, cast(reshape(dLoss, [-1, 1]), hidden.dtype)) : undefined,
    needs[1] ? weightGradient(hidden, weight, labels, dLoss, attrs) : undefined,
    undefined,
  ];
}

/** Σ over the chunks of dLogitsᵀ h, from logits that are computed again. */
function weightGradient(hidden: Tensor, weight: Tensor, labels: Tensor, dLoss: Tensor, attrs: Attrs): Tensor {
  const again = recompute(hidden, dLoss);
  return chunksOf(again, attrs.rows as number)
    .map((chunk) => {
      const { gradient } = losses(chunk, weight, labels, attrs);
      const dLogits = gradient(narrow(dLoss, 0, chunk.start, chunk.count));
      return cast(matmul(transpose(dLogits), chunk.hidden), weight.dtype);
    })
    .reduce(add);
}

const decompose = ([hidden, weight, labels]: readonly Tensor[], attrs: Attrs): Tensor[] => {
  const chunks = chunksOf(hidden!, attrs.rows as number).map((chunk) => {
    const { loss, gradient } = losses(chunk, weight!, labels!, attrs);
    return { loss, slopes: matmul(gradient(ones([chunk.count])), cast(weight!, hidden!.dtype)) };
  });
  const joined = (parts: Tensor[]): Tensor => (parts.length === 1 ? parts[0]! : concat(parts, 0));
  return [joined(chunks.map((c) => c.loss)), joined(chunks.map((c) => c.slopes))];
};

/** Outputs: the losses `[n]`, f32, and the slopes `[n, d]`, which are computed only where a gradient is asked for. */
export const linearCrossEntropyOp: Op = defineOp({
  name: 'linearCrossEntropy',
  infer: ([hidden]) => [{ shape: [hidden!.shape[0]!], dtype: 'f32' }, hidden!],
  decompose,
  vjp,
});

export interface LinearCrossEntropyOptions extends CrossEntropyOptions {
  /** Rows whose logits are in memory at a time. Default: as many as have some 4 million logits, 128 at least. */
  readonly rows?: number;
}

/**
 * -log softmax(hidden weightᵀ)[label] of each row, as `crossEntropy(linear(hidden, weight), labels)`: hidden `[n, d]`,
 * weight `[v, d]`, which may be stored in another float dtype, labels i32 `[n]` -> f32 `[n]`. The logits `[n, v]` are
 * never in memory together. Where the weight is trained, its gradient computes them a second time.
 * @throws ShapeError
 */
export function linearCrossEntropy(
  hidden: Tensor,
  weight: Tensor,
  labels: Tensor,
  options: LinearCrossEntropyOptions = {},
): Tensor {
  const fits = (shape: Shape): boolean => shape.length === 2 && shape[1] === hidden.shape[1];
  if (
    !fits(hidden.shape) ||
    !fits(weight.shape) ||
    labels.rank !== 1 ||
    labels.dtype !== 'i32' ||
    labels.size !== hidden.shape[0]
  )
    throw new ShapeError(
      'linearCrossEntropy',
      [hidden.shape, weight.shape, labels.shape],
      `needs hidden [n, d], weight [v, d] and i32 labels [n], got labels of ${labels.dtype}`,
    );
  const attrs = { ignoreIndex: options.ignoreIndex ?? -100, rows: options.rows ?? rowsOf(weight.shape[0]!) };
  return applyOp(linearCrossEntropyOp, [hidden, weight, labels], attrs)[0]!;
}
