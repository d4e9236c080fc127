import type { Context } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import type { PassInputs } from './multi-head-attention.ts';
import { type BlockParts, type Norm, PreNormBlock } from './pre-norm-block.ts';

/** The parts of a decoder's block, and how they go together. */
export interface DecoderParts<Pass extends PassInputs> extends BlockParts<Pass> {
  /** Default `pre-norm`. */
  readonly order?: BlockOrder;
  /** Norms of what the sub-layers give, before their skip connections (Gemma 2's). */
  readonly attentionOutputNorm?: Norm;
  readonly mlpOutputNorm?: Norm;
}

/**
 * How sub-layers and norms follow each other, with A and F the sub-layers and N their norms:
 * - `pre-norm` (Llama, GPT-2): m = x + A(N x), y = m + F(N m);
 * - `post-norm` (OPT of 350 million): m = N(x + A x), y = N(m + F m);
 * - `parallel` (GPT-NeoX): y = x + A(N x) + F(N x).
 */
export type BlockOrder = 'pre-norm' | 'post-norm' | 'parallel';

/** The block of a decoder without an encoder. */
export abstract class DecoderBlock<Pass extends PassInputs = never> extends PreNormBlock<Pass> {
  abstract override get parts(): DecoderParts<Pass>;

  protected override run(x: Tensor, pass: Pass, context: Context): Tensor {
    const { attentionNorm, attention, mlpNorm, mlp, order, attentionOutputNorm, mlpOutputNorm } = this.parts;
    const isPost = order === 'post-norm';
    const details = (input: Tensor, residual: Tensor, norm: Norm) => ({
      input,
      residual,
      ...(isPost ? { norm: (y: Tensor) => norm.forward(y) } : {}),
      block: this,
      context,
    });
    const normed = isPost ? x : attentionNorm.forward(x);
    const attended = attention.forward(normed, pass, context);
    const mixed = this.attentionOutput.apply(
      attentionOutputNorm?.forward(attended) ?? attended,
      details(normed, x, attentionNorm),
    );
    const middle = isPost ? attentionNorm.forward(add(x, mixed)) : add(x, mixed);
    const residual = order === 'parallel' ? x : middle;
    const input = isPost ? middle : mlpNorm.forward(residual);
    const output = context.keep('mlps', attention.layerIndex, () => {
      const fed = mlp.forward(input, context);
      return this.mlpOutput.apply(mlpOutputNorm?.forward(fed) ?? fed, details(input, residual, mlpNorm));
    });
    const given = isPost ? mlpNorm.forward(add(middle, output)) : add(middle, output);
    return this.give(given, pass, context);
  }
}
