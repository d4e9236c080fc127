import { type Context, Module, Site } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import type { MultiHeadAttention, PassInputs } from './multi-head-attention.ts';

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

/** What an attachment to a block's output sees. */
export interface BlockDetails {
  readonly block: Module;
  /** Which keys are padding, as the pass was told. */
  readonly keyMask?: Tensor | undefined;
  /** Where in its row the text of each token begins and ends, where rows hold several. */
  readonly segments?: Tensor | undefined;
  readonly context: Context;
}

/** A norm as blocks use it. */
export interface Norm {
  forward(x: Tensor): Tensor;
}

/** The parts of a block; in the block's fields they have the names of the checkpoint. */
export interface BlockParts<Pass extends PassInputs> {
  readonly attentionNorm: Norm;
  readonly attention: MultiHeadAttention & { forward(x: Tensor, pass: Pass, context: Context): Tensor };
  readonly mlpNorm: Norm;
  readonly mlp: { forward(x: Tensor, context: Context): Tensor };
}

/** Norm, attention, skip; norm, MLP, skip: the block of Llama, GPT-2 and T5's encoder. */
export abstract class PreNormBlock<Pass extends PassInputs = never> extends Module {
  /** Outputs of the two sub-layers, before their skip connections. */
  readonly attentionOutput: Site<SublayerDetails> = new Site();
  readonly mlpOutput: Site<SublayerDetails> = new Site();
  /** What the block gives to the next one, `[b, t, hidden]`. */
  readonly blockOutput: Site<BlockDetails> = new Site();

  abstract get parts(): BlockParts<Pass>;

  forward(x: Tensor, pass: Pass, context: Context): Tensor {
    return context.keep('blocks', this.parts.attention.layerIndex, () => this.run(x, pass, context));
  }

  protected run(x: Tensor, pass: Pass, context: Context): Tensor {
    return this.feed(this.attend(x, pass, context), pass, context);
  }

  protected attend(x: Tensor, pass: Pass, context: Context): Tensor {
    const { attentionNorm, attention } = this.parts;
    const run = (input: Tensor): Tensor => attention.forward(input, pass, context);
    return this.sublayer(x, attentionNorm, run, this.attentionOutput, context);
  }

  protected feed(x: Tensor, pass: Pass, context: Context): Tensor {
    const { attention, mlpNorm, mlp } = this.parts;
    const run = (input: Tensor): Tensor => mlp.forward(input, context);
    const output = context.keep('mlps', attention.layerIndex, () =>
      this.sublayer(x, mlpNorm, run, this.mlpOutput, context),
    );
    return this.give(output, pass, context);
  }

  /** What goes to the next block. */
  protected give(output: Tensor, { keyMask, segments }: Pass, context: Context): Tensor {
    return this.blockOutput.apply(output, { block: this, keyMask, segments, context });
  }

  /** `x + site(run(norm(x)))` */
  protected sublayer(
    x: Tensor,
    norm: Norm,
    run: (input: Tensor) => Tensor,
    site: Site<SublayerDetails>,
    context: Context,
  ): Tensor {
    const input = norm.forward(x);
    return add(x, site.apply(run(input), { input, residual: x, block: this, context }));
  }
}
