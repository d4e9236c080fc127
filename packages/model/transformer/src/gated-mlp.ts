import { type Context, Linear, Module } from '@graftjs/nn';
import { mul, silu, type Tensor } from '@graftjs/tensor';

/** down(f(gate(x)) * up(x)), f = silu unless it says otherwise (Shazeer, 2020: SwiGLU). */
export class GatedMlp extends Module {
  readonly gate_proj: Linear;
  readonly up_proj: Linear;
  readonly down_proj: Linear;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(hiddenSize: number, intermediateSize: number, bias: boolean, activation = silu) {
    super();
    this.#activation = activation;
    this.gate_proj = new Linear(hiddenSize, intermediateSize, { bias });
    this.up_proj = new Linear(hiddenSize, intermediateSize, { bias });
    this.down_proj = new Linear(intermediateSize, hiddenSize, { bias });
  }

  forward(x: Tensor, context: Context): Tensor {
    const gate = this.#activation(this.gate_proj.forward(x, context));
    return this.down_proj.forward(mul(gate, this.up_proj.forward(x, context)), context);
  }
}
