import { RmsNorm } from '@graftjs/nn';
import {
  DecoderBlock,
  type DecoderParts,
  GatedMlp,
  type RotaryInputs,
  SelfAttention,
} from '@graftjs/transformer';
import { activations } from '../activations.ts';
import type { GemmaConfig } from './config.ts';

/** A norm whose weight is stored as its distance from 1. */
export const gemmaNorm = (dim: number, eps: number): RmsNorm => new RmsNorm(dim, eps, { weightOffset: 1 });

/** Rotary self-attention and a gated MLP, normed before and, from Gemma 2 on, after. */
export class GemmaBlock extends DecoderBlock<RotaryInputs> {
  readonly input_layernorm: RmsNorm;
  readonly self_attn: SelfAttention;
  /** Of attention's output from Gemma 2 on, before that of the MLP's input. */
  readonly post_attention_layernorm: RmsNorm;
  readonly pre_feedforward_layernorm?: RmsNorm;
  readonly post_feedforward_layernorm?: RmsNorm;
  readonly mlp: GatedMlp;

  constructor(config: GemmaConfig, layerIndex: number) {
    super();
    const { hiddenSize, intermediateSize, normEps, scoreCap, attentionBias } = config;
    const window = config.windowOf(layerIndex);
    const norm = (): RmsNorm => gemmaNorm(hiddenSize, normEps);
    this.input_layernorm = norm();
    this.self_attn = new SelfAttention(
      {
        ...config,
        qkvBias: attentionBias,
        outputBias: attentionBias,
        dropout: config.attentionDropout,
        ...(window ? { window } : {}),
        ...(scoreCap === undefined ? {} : { softcap: scoreCap }),
        ...(config.headNorms ? { headNorm: (dim) => gemmaNorm(dim, normEps) } : {}),
      },
      layerIndex,
    );
    this.post_attention_layernorm = norm();
    if (config.outputNorms) {
      this.pre_feedforward_layernorm = norm();
      this.post_feedforward_layernorm = norm();
    }
    this.mlp = new GatedMlp(hiddenSize, intermediateSize, false, activations[config.activation]);
  }

  get parts(): DecoderParts<RotaryInputs> {
    const { input_layernorm, self_attn, post_attention_layernorm, mlp } = this;
    const shared = { attentionNorm: input_layernorm, attention: self_attn, mlp };
    return this.pre_feedforward_layernorm && this.post_feedforward_layernorm
      ? {
          ...shared,
          attentionOutputNorm: post_attention_layernorm,
          mlpNorm: this.pre_feedforward_layernorm,
          mlpOutputNorm: this.post_feedforward_layernorm,
        }
      : { ...shared, mlpNorm: post_attention_layernorm };
  }
}
