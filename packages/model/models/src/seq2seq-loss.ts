import { crossEntropy } from '@graftjs/ops';
import { concat, equal, fill, narrow, reshape, sum, type Tensor, where } from '@graftjs/tensor';
import type { Seq2SeqConfig } from './architecture.ts';

/** A label that is not learnt. */
const ignored = -100;

/**
 * What a decoder reads to learn `labels` i32 `[b, t]`: the start token, and each label but the last; padding where a
 * label is not learnt.
 */
export function shiftRight(
  labels: Tensor,
  { decoderStartTokenId, padTokenId = 0 }: Pick<Seq2SeqConfig, 'decoderStartTokenId' | 'padTokenId'>,
): Tensor {
  const [b, t] = labels.shape as [number, number];
  const start = fill(decoderStartTokenId, [b, 1], 'i32');
  if (t === 1) return start;
  const read = narrow(labels, 1, 0, t - 1);
  return concat([start, where(equal(read, ignored), fill(padTokenId, read.shape, 'i32'), read)], 1);
}

/**
 * Sum of the losses of the supervised tokens of an encoder-decoder: logits `[b, t, v]`, labels i32 `[b, t]`, -100 where
 * nothing is learnt. Position i is judged by label i; divide by the count of labels that are learnt. Where a virtual
 * prompt made the logits longer than the labels, the labels belong to the last positions.
 */
export function seq2seqLossSum(logits: Tensor, labels: Tensor): Tensor {
  const [b, t, v] = logits.shape as [number, number, number];
  const front = t - labels.shape[1]!;
  const all = front > 0 ? concat([fill(ignored, [b, front], 'i32'), labels], 1) : labels;
  return sum(crossEntropy(reshape(logits, [b * t, v]), reshape(all, [b * t])));
}
