import { crossEntropy, linearCrossEntropy } from '@graftjs/ops';
import { concat, fill, linearOperands, narrow, reshape, sum, type Tensor } from '@graftjs/tensor';

/**
 * Sum of the losses of the supervised tokens: logits `[b, t, v]`, labels i32 `[b, t]` not shifted, -100 where
 * nothing is learnt. Position i is judged by label i + 1, as in `transformers`; divide by the count of labels that
 * are learnt, the first of each row left out. Where a virtual prompt made the logits longer than the labels, the
 * labels belong to the last positions, and the first of each row is learnt, too (as in `peft`).
 *
 * Logits that are a head's product and nothing more (no bias, no adapter at the head, no soft cap) are never in memory
 * whole: see `linearCrossEntropy` of `@graftjs/ops`. The loss does not pass through `logits` then: its gradient with
 * respect to that tensor is zero; those of weights and hidden states are whole.
 */
export function tokenLossSum(logits: Tensor, labels: Tensor): Tensor {
  const [b, t, v] = logits.shape as [number, number, number];
  const none = (count: number): Tensor => fill(-100, [b, count], 'i32');
  const known = labels.shape[1]!;
  const front = t - known;
  const parts = [
    ...(front > 1 ? [none(front - 1)] : []),
    ...(front > 0 ? [labels] : known > 1 ? [narrow(labels, 1, 1, known - 1)] : []),
    none(1),
  ];
  const targets = reshape(concat(parts, 1), [b * t]);
  const head = linearOperands(logits);
  return sum(
    head
      ? linearCrossEntropy(reshape(head.x, [b * t, -1]), head.weight, targets)
      : crossEntropy(reshape(logits, [b * t, v]), targets),
  );
}
