import { type Context, Linear } from '@graftjs/nn';
import { rotary } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';
import { CausalAttention } from './causal-attention.ts';
import type { HeadConfig, PassInputs } from './multi-head-attention.ts';

export interface AttentionConfig extends HeadConfig {
  readonly hiddenSize: number;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
}

/** What every layer of one pass with rotary positions shares. */
export interface RotaryInputs extends PassInputs {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Causal self-attention with rotary positions and grouped queries (Llama's). */
export class SelfAttention extends CausalAttention {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;

  constructor(config: AttentionConfig, layerIndex: number) {
    super(config, layerIndex);
    const { hiddenSize, heads, kvHeads, headDim, qkvBias, outputBias } = config;
    this.q_proj = new Linear(hiddenSize, heads * headDim, { bias: qkvBias });
    this.k_proj = new Linear(hiddenSize, kvHeads * headDim, { bias: qkvBias });
    this.v_proj = new Linear(hiddenSize, kvHeads * headDim, { bias: qkvBias });
    this.o_proj = new Linear(heads * headDim, hiddenSize, { bias: outputBias });
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: RotaryInputs, context: Context): Tensor {
    const { heads, kvHeads } = this.heads;
    const { cos, sin } = pass;
    const q = rotary(this.split(this.q_proj.forward(x, context), heads), cos, sin);
    const k = rotary(this.split(this.k_proj.forward(x, context), kvHeads), cos, sin);
    const v = this.split(this.v_proj.forward(x, context), kvHeads);
    return this.o_proj.forward(this.attend(q, k, v, pass, context), context);
  }
}
