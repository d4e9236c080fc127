import {
  type CausalLM,
  type PretrainedModel,
  type Seq2SeqLM,
  seq2seqLossSum,
  shiftRight,
  tokenLossSum,
} from '@graftjs/models';
import { Context } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';

/** A batch as tensors. */
export interface Batch {
  /** i32 `[b, s]`. */
  readonly inputIds: Tensor;
  /** i32 `[b, s]`, 0 where a token is padding: needed by encoders. */
  readonly keyMask?: Tensor;
  /** i32 `[b, t]`: what an encoder-decoder answers; for a decoder the same ids, where they are learnt. */
  readonly labels: Tensor;
}

/** A model of any kind, and what it computes for a batch. */
export interface AnyModel {
  readonly model: PretrainedModel;
  logits(batch: Batch, context?: Context): Tensor;
  lossSum(logits: Tensor, labels: Tensor): Tensor;
  /** Whether the first label of a row is learnt, also without virtual tokens in front. */
  readonly learnsFirst: boolean;
}

export function anyModel(model: CausalLM | Seq2SeqLM): AnyModel {
  if ('encode' in model)
    return {
      model,
      learnsFirst: true,
      lossSum: seq2seqLossSum,
      logits: ({ inputIds, keyMask, labels }, context = new Context()) =>
        model.forward(
          {
            inputIds,
            ...(keyMask ? { keyMask } : {}),
            decoderInputIds: shiftRight(labels, model.config),
          },
          context,
        ),
    };
  return {
    model,
    learnsFirst: false,
    lossSum: tokenLossSum,
    logits: ({ inputIds }, context = new Context()) => model.forward({ inputIds }, context),
  };
}
