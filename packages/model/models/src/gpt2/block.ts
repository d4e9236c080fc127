import { type Context, LayerNorm, Linear, Module, trainingDropout } from '@graftjs/nn';
import { narrow, type Tensor } from '@graftjs/tensor';
import { type BlockParts, CausalAttention, DecoderBlock, type PassInputs } from '@graftjs/transformer';
import { activations } from '../activations.ts';
import type { GPT2Config } from './config.ts';

/** A linear layer as GPT-2 stores it: weight `[in, out]`, and a bias. */
const conv1d = (inFeatures: number, outFeatures: number): Linear =>
  new Linear(inFeatures, outFeatures, { bias: true, fanInFanOut: true });

/** Causal self-attention, its queries, keys and values from one projection. */
export class GPT2Attention extends CausalAttention {
  readonly c_attn: Linear;
  readonly c_proj: Linear;
  readonly #dropout: number;

  constructor(config: GPT2Config, layerIndex: number) {
    const { heads, headDim, hiddenSize, attentionDropout } = config;
    super(
      { heads, kvHeads: heads, headDim, scale: config.scaleOf(layerIndex), dropout: attentionDropout },
      layerIndex,
    );
    this.c_attn = conv1d(hiddenSize, 3 * hiddenSize);
    this.c_proj = conv1d(hiddenSize, hiddenSize);
    this.#dropout = config.residualDropout;
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const { heads } = this.heads;
    const projected = this.c_attn.forward(x, context); // [b, t, 3 hidden]
    const width = x.shape[2]!;
    const [q, k, v] = [0, 1, 2].map((i) => this.split(narrow(projected, 2, i * width, width), heads));
    const mixed = this.c_proj.forward(this.attend(q!, k!, v!, pass, context), context);
    return trainingDropout(mixed, this.#dropout, context, 'resid_pdrop');
  }
}

/** Out of the hidden size into a wider one, an activation, and back. */
export class GPT2MLP extends Module {
  readonly c_fc: Linear;
  readonly c_proj: Linear;
  readonly #config: GPT2Config;

  constructor(config: GPT2Config) {
    super();
    this.c_fc = conv1d(config.hiddenSize, config.intermediateSize);
    this.c_proj = conv1d(config.intermediateSize, config.hiddenSize);
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    const { activation, residualDropout } = this.#config;
    const wide = activations[activation](this.c_fc.forward(x, context));
    return trainingDropout(this.c_proj.forward(wide, context), residualDropout, context, 'resid_pdrop');
  }
}

export class GPT2Block extends DecoderBlock<PassInputs> {
  readonly ln_1: LayerNorm;
  readonly attn: GPT2Attention;
  readonly ln_2: LayerNorm;
  readonly mlp: GPT2MLP;

  constructor(config: GPT2Config, layerIndex: number) {
    super();
    this.ln_1 = new LayerNorm(config.hiddenSize, config.normEps);
    this.attn = new GPT2Attention(config, layerIndex);
    this.ln_2 = new LayerNorm(config.hiddenSize, config.normEps);
    this.mlp = new GPT2MLP(config);
  }

  get parts(): BlockParts<PassInputs> {
    return { attentionNorm: this.ln_1, attention: this.attn, mlpNorm: this.ln_2, mlp: this.mlp };
  }
}
