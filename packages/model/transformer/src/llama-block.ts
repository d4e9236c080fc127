import { RmsNorm } from '@graftjs/nn';
import { DecoderBlock } from './decoder-block.ts';
import { GatedMlp } from './gated-mlp.ts';
import type { BlockParts } from './pre-norm-block.ts';
import { type AttentionConfig, type RotaryInputs, SelfAttention } from './self-attention.ts';

export interface LlamaBlockConfig extends AttentionConfig {
  readonly intermediateSize: number;
  readonly mlpBias: boolean;
  readonly normEps: number;
}

/** RMS norms, rotary self-attention and a gated MLP: Llama's block. */
export class LlamaBlock extends DecoderBlock<RotaryInputs> {
  readonly input_layernorm: RmsNorm;
  readonly self_attn: SelfAttention;
  readonly post_attention_layernorm: RmsNorm;
  readonly mlp: GatedMlp;

  constructor(config: LlamaBlockConfig, layerIndex: number) {
    super();
    this.input_layernorm = new RmsNorm(config.hiddenSize, config.normEps);
    this.self_attn = new SelfAttention(config, layerIndex);
    this.post_attention_layernorm = new RmsNorm(config.hiddenSize, config.normEps);
    this.mlp = new GatedMlp(config.hiddenSize, config.intermediateSize, config.mlpBias);
  }

  get parts(): BlockParts<RotaryInputs> {
    return {
      attentionNorm: this.input_layernorm,
      attention: this.self_attn,
      mlpNorm: this.post_attention_layernorm,
      mlp: this.mlp,
    };
  }
}
