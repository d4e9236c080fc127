import { argmax, crossEntropy } from '@graftjs/ops';
import {
  add,
  cast,
  equal,
  mul,
  narrow,
  reshape,
  ShapeError,
  softplus,
  sub,
  sum,
  type Tensor,
} from '@graftjs/tensor';
import type { EncoderConfig } from '../architecture.ts';

/** The last `count` positions of logits `[b, s, n]`: without a virtual prompt in front. */
const ofText = (logits: Tensor, count: number): Tensor =>
  logits.shape[1] === count ? logits : narrow(logits, 1, logits.shape[1]! - count, count);

/**
 * Sum of the losses of labels that are learnt: logits `[b, n]` with labels i32 `[b]` or `[b, 1]`, or `[b, s, n]` with `[b, s]`,
 * each beside its own logits (masked language models, classes of texts and of tokens). A label outside 0 to n - 1, such as
 * -100, is ignored; divide by the count of the others. Where a virtual prompt made the logits longer than the labels, the
 * labels belong to the last positions.
 */
export function labelLossSum(logits: Tensor, labels: Tensor): Tensor {
  const text = logits.rank === 3 ? ofText(logits, labels.shape[1]!) : logits;
  return sum(crossEntropy(reshape(text, [-1, text.shape.at(-1)!]), reshape(labels, [-1])));
}

/** How many labels, as {@link labelLossSum} takes them, are the likeliest class: for accuracy. f32 `[]`. */
export function correctSum(logits: Tensor, labels: Tensor): Tensor {
  const text = logits.rank === 3 ? ofText(logits, labels.shape[1]!) : logits;
  return sum(cast(equal(reshape(argmax(text), [-1]), reshape(labels, [-1])), 'f32'));
}

/** Sum over texts and classes of -log σ(±x), + where the target is 1: logits and targets (0 or 1) `[b, n]`. */
export function multiLabelLossSum(logits: Tensor, targets: Tensor): Tensor {
  checkTargets('multiLabelLossSum', logits, targets);
  return sum(sub(softplus(logits), mul(logits, cast(targets, 'f32'))));
}

/** Sum of squared differences: logits and targets `[b, n]`. */
export function squaredErrorSum(logits: Tensor, targets: Tensor): Tensor {
  checkTargets('squaredErrorSum', logits, targets);
  const difference = sub(logits, cast(targets, 'f32'));
  return sum(mul(difference, difference));
}

/**
 * Mean of the losses of both ends, summed over texts: logits `[b, s, 2]`, the positions of the first and the last token of
 * the answers i32 `[b]`. An end outside the text is ignored; divide by the count of the others.
 */
export function spanLossSum(logits: Tensor, starts: Tensor, ends: Tensor): Tensor {
  const [b, s] = logits.shape as [number, number];
  const ofEnd = (end: number, positions: Tensor): Tensor =>
    sum(crossEntropy(reshape(narrow(logits, 2, end, 1), [b, s]), positions));
  return mul(add(ofEnd(0, starts), ofEnd(1, ends)), 0.5);
}

/**
 * The loss of a classifier of texts, as its config's `problemType` says: {@link labelLossSum}, {@link multiLabelLossSum} or
 * {@link squaredErrorSum}; where it says nothing, regression for one class, else single labels. Divide by the labels that
 * count: of the latter two, all elements.
 */
export function classifierLossSum(config: EncoderConfig, logits: Tensor, labels: Tensor): Tensor {
  const one = config.labels.length === 1 ? 'regression' : 'single_label_classification';
  const losses = {
    single_label_classification: labelLossSum,
    multi_label_classification: multiLabelLossSum,
    regression: squaredErrorSum,
  };
  return losses[config.problemType ?? one](logits, labels);
}

function checkTargets(name: string, logits: Tensor, targets: Tensor): void {
  if (
    logits.rank !== 2 ||
    targets.rank !== 2 ||
    logits.shape.some((extent, i) => extent !== targets.shape[i])
  )
    throw new ShapeError(name, [logits.shape, targets.shape], 'needs a target for each of the logits [b, n]');
}
