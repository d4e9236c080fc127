import { type Context, Module, Site } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import type { CausalAttention } from './causal-attention.ts';
import type { PassInputs } from './multi-head-attention.ts';

/** What an attachment to a sub-layer's output sees. */
export interface SublayerDetails {
  /** The sub-layer's input, after its norm. */
  readonly input: Tensor;
  /** What the skip connection carries past the sub-layer. */
  readonly residual: Tensor;
  /** The norm after the skip connection, in blocks that normalise there. */
  readonly norm?: (x: Tensor) => Tensor;
  readonly block: Module;
  readonly context: Context;
}

/** The parts of a block; in the block's fields they have the names of the checkpoint. */
export interface BlockParts<Pass extends PassInputs> {
  readonly attentionNorm: { forward(x: Tensor): Tensor };
  readonly attention: CausalAttention & { forward(x: Tensor, pass: Pass, context: Context): Tensor };
  readonly mlpNorm: { forward(x: Tensor): Tensor };
  readonly mlp: { forward(x: Tensor, context: Context): Tensor };
}

/** Norm, attention, skip; norm, MLP, skip: the pre-norm block of Llama and GPT-2. */
export abstract class DecoderBlock<Pass extends PassInputs = never> extends Module {
  /** Outputs of the two sub-layers, before their skip connections. */
  readonly attentionOutput: Site<SublayerDetails> = new Site();
  readonly mlpOutput: Site<SublayerDetails> = new Site();

  abstract get parts(): BlockParts<Pass>;

  forward(x: Tensor, pass: Pass, context: Context): Tensor {
    const { attentionNorm, attention, mlpNorm, mlp } = this.parts;
    const normed = attentionNorm.forward(x);
    const attended = attention.forward(normed, pass, context);
    const middle = add(
      x,
      this.attentionOutput.apply(attended, { input: normed, residual: x, block: this, context }),
    );
    const input = mlpNorm.forward(middle);
    const fed = mlp.forward(input, context);
    return add(middle, this.mlpOutput.apply(fed, { input, residual: middle, block: this, context }));
  }
}
