import { type Context, Linear, type RmsNorm } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { CausalAttention } from './causal-attention.ts';
import type { HeadConfig, PassInputs } from './multi-head-attention.ts';
import { rotateHeads } from './rotate-heads.ts';

export interface AttentionConfig extends HeadConfig {
  readonly hiddenSize: number;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** Makes norms of each head of queries and of keys, before their rotation. Left out: there are none. */
  readonly headNorm?: (headDim: number) => RmsNorm;
}

/** What every layer of one pass with rotary positions shares. */
export interface RotaryInputs extends PassInputs {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Causal self-attention with rotary positions and grouped queries (Llama's), and norms of heads (Qwen3's). */
export class SelfAttention extends CausalAttention {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;
  readonly q_norm?: RmsNorm;
  readonly k_norm?: RmsNorm;

  constructor(config: AttentionConfig, layerIndex: number) {
    super(config, layerIndex);
    const { hiddenSize, heads, kvHeads, headDim, qkvBias, outputBias, headNorm } = config;
    this.q_proj = new Linear(hiddenSize, heads * headDim, { bias: qkvBias });
    this.k_proj = new Linear(hiddenSize, kvHeads * headDim, { bias: qkvBias });
    this.v_proj = new Linear(hiddenSize, kvHeads * headDim, { bias: qkvBias });
    this.o_proj = new Linear(heads * headDim, hiddenSize, { bias: outputBias });
    if (headNorm) {
      this.q_norm = headNorm(headDim);
      this.k_norm = headNorm(headDim);
    }
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: RotaryInputs, context: Context): Tensor {
    const { heads, kvHeads } = this.heads;
    const { cos, sin } = pass;
    const queries = this.split(this.q_proj.forward(x, context), heads);
    const keys = this.split(this.k_proj.forward(x, context), kvHeads);
    const q = rotateHeads(this.q_norm?.forward(queries) ?? queries, cos, sin);
    const k = rotateHeads(this.k_norm?.forward(keys) ?? keys, cos, sin);
    const v = this.split(this.v_proj.forward(x, context), kvHeads);
    return this.o_proj.forward(this.attend(q, k, v, pass, context), context);
  }
}
