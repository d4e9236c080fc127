import { type Context, Linear, Module } from '@graftjs/nn';
import { swiglu } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';

/** down(silu(gate(x)) * up(x)) (Shazeer, 2020: SwiGLU). */
export class GatedMlp extends Module {
  readonly gate_proj: Linear;
  readonly up_proj: Linear;
  readonly down_proj: Linear;

  constructor(hiddenSize: number, intermediateSize: number, bias: boolean) {
    super();
    this.gate_proj = new Linear(hiddenSize, intermediateSize, { bias });
    this.up_proj = new Linear(hiddenSize, intermediateSize, { bias });
    this.down_proj = new Linear(intermediateSize, hiddenSize, { bias });
  }

  forward(x: Tensor, context: Context): Tensor {
    return this.down_proj.forward(
      swiglu(this.gate_proj.forward(x, context), this.up_proj.forward(x, context)),
      context,
    );
  }
}
