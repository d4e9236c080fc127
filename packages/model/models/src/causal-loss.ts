import { crossEntropy } from '@graftjs/ops';
import { concat, fill, narrow, reshape, sum, type Tensor } from '@graftjs/tensor';

/**
 * Sum of the losses of the supervised tokens: logits `[b, t, v]`, labels i32 `[b, t]` not shifted, -100 where
 * nothing is learnt. Position i is judged by label i + 1, as in `transformers`; divide by the count of labels that
 * are learnt, the first of each row left out.
 */
export function tokenLossSum(logits: Tensor, labels: Tensor): Tensor {
  const [b, t, v] = logits.shape as [number, number, number];
  const next = concat([narrow(labels, 1, 1, t - 1), fill(-100, [b, 1], 'i32')], 1);
  return sum(crossEntropy(reshape(logits, [b * t, v]), reshape(next, [b * t])));
}
