import {
  type Attrs,
  add,
  and,
  applyOp,
  cast,
  defineOp,
  detach,
  equal,
  exp,
  iota,
  type KernelFactory,
  less,
  log,
  max,
  mul,
  narrow,
  not,
  type Op,
  reshape,
  ShapeError,
  sub,
  sum,
  type Tensor,
  where,
} from '@graftjs/tensor';
import type { Word } from './kernel-text.ts';
import { onlineNormalizer, rowKernel } from './row-kernel.ts';

/** Rows that count: a label that names a class and is not the ignored one. bool [n]. */
const counted = (logits: Tensor, labels: Tensor, attrs: Attrs): Tensor =>
  and(
    and(not(less(labels, 0)), less(labels, logits.shape[1]!)),
    not(equal(labels, attrs.ignoreIndex as number)),
  );

/** Where the label stands in each row. bool [n, v]. */
const atLabel = (logits: Tensor, labels: Tensor): Tensor =>
  equal(iota([1, logits.shape[1]!]), reshape(labels, [-1, 1]));

const column = (x: Tensor): Tensor => reshape(x, [-1, 1]);

/** The rows' labels: those from `attrs.first` on. */
const labelsOf = (logits: Tensor, labels: Tensor, attrs: Attrs): Tensor =>
  narrow(labels, 0, attrs.first as number, logits.shape[0]!);

const wordsOf = (attrs: Attrs): Word[] => [
  ['ignoreIndex', 'i32', attrs.ignoreIndex as number],
  ['first', 'u32', attrs.first as number],
];

/** Whether the row counts; a label is compared before it is used as an index. */
const countedText = 'label >= 0 && u32(label) < p.steps * WIDTH && label != p.ignoreIndex';

const kernel: KernelFactory = ({ inputs: [logits], attrs }, traits) => {
  const [rows, columns] = logits!.shape;
  if (!rows || !columns || logits!.dtype !== 'f32') return undefined;
  const dispatch = rowKernel(
    {
      label: 'crossEntropy',
      rows,
      columns,
      buffers: [
        ['logits', 'Vec', { input: 0 }],
        ['labels', 'i32', { input: 1 }],
        ['losses', 'f32', { output: 0 }],
        ['normalizers', 'f32', { output: 1 }],
      ],
      words: wordsOf(attrs),
      flops: 4 * rows * columns,
      body: `${onlineNormalizer('logits[base + i]')}
  if (lane == 0u) {
    let normalizer = rowGreatest + log(rowTotal);
    let label = labels[p.first + row];
    let counted = ${countedText};
    let at = select(0u, u32(label), counted);
    let picked = element(logits[base + at / WIDTH], at % WIDTH);
    losses[row] = select(0.0, normalizer - picked, counted);
    normalizers[row] = normalizer;
  }`,
    },
    traits,
  );
  return { dispatches: [dispatch] };
};

/** The gradient takes the place of the logits. */
const gradientKernel: KernelFactory = ({ inputs: [logits], attrs }, traits) => {
  const [rows, columns] = logits!.shape;
  if (!rows || !columns || logits!.dtype !== 'f32') return undefined;
  const dispatch = rowKernel(
    {
      label: 'crossEntropyGradient',
      rows,
      columns,
      buffers: [
        ['logits', 'Vec', { output: 0 }],
        ['labels', 'i32', { input: 1 }],
        ['normalizers', 'f32', { input: 2 }],
        ['dLosses', 'f32', { input: 3 }],
      ],
      words: wordsOf(attrs),
      flops: 3 * rows * columns,
      body: `  let label = labels[p.first + row];
  let counted = ${countedText};
  let at = select(0u, u32(label), counted);
  let normalizer = normalizers[row];
  let dLoss = dLosses[row];
  for (var i = lane; i < p.steps; i += LANES) {
    let slope = exp(logits[base + i] - normalizer) - oneHot(i, at);
    logits[base + i] = select(Vec(), slope * dLoss, counted);
  }`,
    },
    traits,
  );
  return { dispatches: [dispatch], inPlace: [{ output: 0, input: 0 }] };
};

/** `attrs.first` says where the rows' labels begin. Outputs, f32 whatever the logits are: the losses [n], and the log-sum-exp of each row [n] for the gradient. */
export const crossEntropyOp: Op = defineOp({
  name: 'crossEntropy',
  infer: ([logits]) => {
    const perRow = { shape: [logits!.shape[0]!], dtype: 'f32' } as const;
    return [perRow, perRow];
  },
  decompose: ([stored, all], attrs) => {
    const logits = cast(stored!, 'f32');
    const labels = labelsOf(logits, all!, attrs);
    const greatest = detach(max(logits, [1], { keepDims: true }));
    const normalizer = add(log(sum(exp(sub(logits, greatest)), [1])), reshape(greatest, [logits.shape[0]!]));
    const picked = sum(where(atLabel(logits, labels), logits, 0), [1]);
    return [where(counted(logits, labels, attrs), sub(normalizer, picked), 0), normalizer];
  },
  vjp: ({ inputs: [logits, labels], outputs: [, normalizer], cotangents: [dLoss, dNormalizer], attrs }) => {
    const parts: Tensor[] = [];
    if (dLoss) parts.push(applyOp(crossEntropyGradientOp, [logits!, labels!, normalizer!, dLoss], attrs)[0]!);
    if (dNormalizer) {
      const p = exp(sub(cast(logits!, 'f32'), column(normalizer!)));
      parts.push(cast(mul(p, column(dNormalizer)), logits!.dtype));
    }
    return [parts.reduce(add), undefined];
  },
  kernel,
});

/** Inputs logits, labels, log-sum-exp, dLoss; output (softmax - onehot) dLoss, exactly 0 in rows that do not count. */
export const crossEntropyGradientOp: Op = defineOp({
  name: 'crossEntropyGradient',
  infer: ([logits]) => [logits!],
  decompose: ([logits, all, normalizer, dLoss], attrs) => {
    const labels = labelsOf(logits!, all!, attrs);
    const p = exp(sub(cast(logits!, 'f32'), column(normalizer!)));
    const slope = where(atLabel(logits!, labels), sub(p, 1), p);
    const dLogits = where(column(counted(logits!, labels, attrs)), mul(slope, column(dLoss!)), 0);
    return [cast(dLogits, logits!.dtype)];
  },
  kernel: gradientKernel,
});

export interface CrossEntropyOptions {
  /** Rows with this label have loss and gradient 0. Default -100. */
  readonly ignoreIndex?: number;
}

/**
 * -log softmax(logits)[label] of each row: logits `[n, v]`, labels i32 `[n]` -> `[n]`. Not averaged: divide the
 * sum by the number of rows that count. A label outside [0, v) is ignored as `ignoreIndex` is.
 * @throws ShapeError where the labels are not i32, one for each row.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  if (logits.rank !== 2 || labels.rank !== 1 || labels.shape[0] !== logits.shape[0] || labels.dtype !== 'i32')
    throw new ShapeError(
      'crossEntropy',
      [logits.shape, labels.shape],
      `needs logits [n, v] and i32 labels [n], got labels of ${labels.dtype}`,
    );
  return applyOp(crossEntropyOp, [logits, labels], {
    ignoreIndex: options.ignoreIndex ?? -100,
    first: 0,
  })[0]!;
}
