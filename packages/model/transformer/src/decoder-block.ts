import { type Context, Module, RmsNorm, Site } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import { type AttentionConfig, type PassInputs, SelfAttention } from './attention.ts';
import { GatedMlp } from './gated-mlp.ts';

export interface BlockConfig extends AttentionConfig {
  readonly intermediateSize: number;
  readonly mlpBias: boolean;
  readonly normEps: number;
}

/** What an attachment to a sub-layer's output sees. */
export interface SublayerDetails {
  /** The sub-layer's input, after its norm. */
  readonly input: Tensor;
  /** What the skip connection carries past the sub-layer. */
  readonly residual: Tensor;
  readonly block: DecoderBlock;
  readonly context: Context;
}

/** Norm, attention, skip; norm, gated MLP, skip (Llama's block). */
export class DecoderBlock extends Module {
  readonly input_layernorm: RmsNorm;
  readonly self_attn: SelfAttention;
  readonly post_attention_layernorm: RmsNorm;
  readonly mlp: GatedMlp;
  /** Outputs of the two sub-layers, before their skip connections. */
  readonly attentionOutput: Site<SublayerDetails> = new Site();
  readonly mlpOutput: Site<SublayerDetails> = new Site();

  constructor(config: BlockConfig, index: number) {
    super();
    this.input_layernorm = new RmsNorm(config.hiddenSize, config.normEps);
    this.self_attn = new SelfAttention(config, index);
    this.post_attention_layernorm = new RmsNorm(config.hiddenSize, config.normEps);
    this.mlp = new GatedMlp(config.hiddenSize, config.intermediateSize, config.mlpBias);
  }

  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const normed = this.input_layernorm.forward(x);
    const attended = this.self_attn.forward(normed, pass, context);
    const middle = add(
      x,
      this.attentionOutput.apply(attended, { input: normed, residual: x, block: this, context }),
    );
    const input = this.post_attention_layernorm.forward(middle);
    const fed = this.mlp.forward(input, context);
    return add(middle, this.mlpOutput.apply(fed, { input, residual: middle, block: this, context }));
  }
}
