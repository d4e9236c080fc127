import { type Context, Linear, Module, RmsNorm, trainingDropout } from '@graftjs/nn';
import { mul, narrow, type Tensor } from '@graftjs/tensor';
import {
  type BlockParts,
  CausalAttention,
  DecoderBlock,
  type RotaryInputs,
  rotateHeads,
} from '@graftjs/transformer';
import { activations } from '../activations.ts';
import type { Phi3Config } from './config.ts';

/** Causal self-attention whose one projection gives all queries, then all keys, then all values. */
export class Phi3Attention extends CausalAttention {
  readonly o_proj: Linear;
  readonly qkv_proj: Linear;
  readonly #dropout: number;

  constructor(config: Phi3Config, layerIndex: number) {
    const { heads, kvHeads, headDim, hiddenSize, window } = config;
    super(
      { heads, kvHeads, headDim, dropout: config.attentionDropout, ...(window ? { window } : {}) },
      layerIndex,
    );
    this.o_proj = new Linear(heads * headDim, hiddenSize);
    this.qkv_proj = new Linear(hiddenSize, (heads + 2 * kvHeads) * headDim);
    this.#dropout = config.residualDropout;
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: RotaryInputs, context: Context): Tensor {
    const { heads, kvHeads, headDim } = this.heads;
    const projected = this.qkv_proj.forward(x, context);
    const part = (first: number, count: number): Tensor =>
      this.split(narrow(projected, 2, first * headDim, count * headDim), count);
    const q = rotateHeads(part(0, heads), pass.cos, pass.sin);
    const k = rotateHeads(part(heads, kvHeads), pass.cos, pass.sin);
    const v = part(heads + kvHeads, kvHeads);
    const mixed = this.o_proj.forward(this.attend(q, k, v, pass, context), context);
    return trainingDropout(mixed, this.#dropout, context, 'resid_pdrop');
  }
}

/** down(f(gate) * up), the gate and what it lets through from one projection. */
export class Phi3MLP extends Module {
  readonly gate_up_proj: Linear;
  readonly down_proj: Linear;
  readonly #config: Phi3Config;

  constructor(config: Phi3Config) {
    super();
    this.gate_up_proj = new Linear(config.hiddenSize, 2 * config.intermediateSize);
    this.down_proj = new Linear(config.intermediateSize, config.hiddenSize);
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    const { activation, intermediateSize: width, residualDropout } = this.#config;
    const both = this.gate_up_proj.forward(x, context);
    const gate = activations[activation](narrow(both, 2, 0, width));
    const fed = this.down_proj.forward(mul(gate, narrow(both, 2, width, width)), context);
    return trainingDropout(fed, residualDropout, context, 'resid_pdrop');
  }
}

export class Phi3Block extends DecoderBlock<RotaryInputs> {
  readonly self_attn: Phi3Attention;
  readonly mlp: Phi3MLP;
  readonly input_layernorm: RmsNorm;
  readonly post_attention_layernorm: RmsNorm;

  constructor(config: Phi3Config, layerIndex: number) {
    super();
    this.self_attn = new Phi3Attention(config, layerIndex);
    this.mlp = new Phi3MLP(config);
    this.input_layernorm = new RmsNorm(config.hiddenSize, config.normEps);
    this.post_attention_layernorm = new RmsNorm(config.hiddenSize, config.normEps);
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
