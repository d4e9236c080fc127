import { type Context, Module, Site } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import type { MultiHeadAttention, PassInputs } from './multi-head-attention.ts';
import type { BlockDetails, Norm, SublayerDetails } from './pre-norm-block.ts';

/** The parts of a block that normalises after its skip connections. */
export interface PostNormParts<Pass extends PassInputs> {
  /** Where attachments to keys and values go. */
  readonly attention: MultiHeadAttention;
  /** Attention with its output projection. */
  attend(x: Tensor, pass: Pass, context: Context): Tensor;
  readonly attentionNorm: Norm;
  feed(x: Tensor, context: Context): Tensor;
  readonly mlpNorm: Norm;
}

/** Attention, skip, norm; MLP, skip, norm: the block of BERT and its kin (Vaswani et al., 2017). */
export abstract class PostNormBlock<Pass extends PassInputs = PassInputs> extends Module {
  /** Outputs of the two sub-layers, before their skip connections. */
  readonly attentionOutput: Site<SublayerDetails> = new Site();
  readonly mlpOutput: Site<SublayerDetails> = new Site();
  /** What the block gives to the next one, `[b, t, hidden]`. */
  readonly blockOutput: Site<BlockDetails> = new Site();

  abstract get parts(): PostNormParts<Pass>;

  forward(x: Tensor, pass: Pass, context: Context): Tensor {
    return context.keep('blocks', this.parts.attention.layerIndex, () => this.#run(x, pass, context));
  }

  #run(x: Tensor, pass: Pass, context: Context): Tensor {
    const parts = this.parts;
    const attended = parts.attend(x, pass, context);
    const middle = this.#close(x, attended, parts.attentionNorm, this.attentionOutput, context);
    const output = context.keep('mlps', parts.attention.layerIndex, () =>
      this.#close(middle, parts.feed(middle, context), parts.mlpNorm, this.mlpOutput, context),
    );
    const { keyMask, segments } = pass;
    return this.blockOutput.apply(output, { block: this, keyMask, segments, context });
  }

  /** `norm(x + site(y))` */
  #close(x: Tensor, y: Tensor, norm: Norm, site: Site<SublayerDetails>, context: Context): Tensor {
    const details = { input: x, residual: x, norm: (z: Tensor) => norm.forward(z), block: this, context };
    return norm.forward(add(x, site.apply(y, details)));
  }
}
