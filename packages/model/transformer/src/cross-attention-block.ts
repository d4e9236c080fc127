import { type Context, Site } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import type { CrossAttention, CrossInputs } from './cross-attention.ts';
import type { PassInputs } from './multi-head-attention.ts';
import { type BlockParts, type Norm, PreNormBlock, type SublayerDetails } from './pre-norm-block.ts';

/** What every layer of one pass of a decoder with an encoder shares. */
export type CrossPassInputs = PassInputs & CrossInputs;

export interface CrossBlockParts<Pass extends CrossPassInputs> extends BlockParts<Pass> {
  readonly crossAttentionNorm: Norm;
  readonly crossAttention: CrossAttention;
}

/** The block of a decoder with an encoder: attention to the encoder's states between the other two sub-layers. */
export abstract class CrossAttentionBlock<
  Pass extends CrossPassInputs = CrossPassInputs,
> extends PreNormBlock<Pass> {
  /** Output of the attention to the encoder, before its skip connection. */
  readonly crossAttentionOutput: Site<SublayerDetails> = new Site();

  abstract override get parts(): CrossBlockParts<Pass>;

  protected override run(x: Tensor, pass: Pass, context: Context): Tensor {
    const { crossAttentionNorm, crossAttention } = this.parts;
    const run = (input: Tensor): Tensor => crossAttention.forward(input, pass, context);
    const attended = this.attend(x, pass, context);
    return this.feed(
      this.sublayer(attended, crossAttentionNorm, run, this.crossAttentionOutput, context),
      pass,
      context,
    );
  }
}
