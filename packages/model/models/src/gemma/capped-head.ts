import { type Context, Linear, type LinearOptions } from '@graftjs/nn';
import { mul, type Tensor, tanh } from '@graftjs/tensor';

/** A head whose logits x become c tanh(x / c). Attachments to its output see them before. */
export class CappedHead extends Linear {
  readonly cap: number;

  constructor(inFeatures: number, outFeatures: number, cap: number, options: LinearOptions = {}) {
    super(inFeatures, outFeatures, options);
    this.cap = cap;
  }

  override forward(input: Tensor, context: Context): Tensor {
    return mul(tanh(mul(super.forward(input, context), 1 / this.cap)), this.cap);
  }
}
