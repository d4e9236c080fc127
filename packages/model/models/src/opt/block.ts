import { type Context, LayerNorm, Linear, trainingDropout } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { CausalAttention, DecoderBlock, type DecoderParts, type PassInputs } from '@graftjs/transformer';
import { activations } from '../activations.ts';
import type { OPTConfig } from './config.ts';

/** PyTorch's default. */
export const normEps = 1e-5;

/** Causal self-attention with a projection each for queries, keys and values. */
export class OPTAttention extends CausalAttention {
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly q_proj: Linear;
  readonly out_proj: Linear;
  readonly #dropout: number;

  constructor(config: OPTConfig, layerIndex: number) {
    const { heads, headDim, hiddenSize, bias } = config;
    super({ heads, kvHeads: heads, headDim, dropout: config.attentionDropout }, layerIndex);
    this.k_proj = new Linear(hiddenSize, hiddenSize, { bias });
    this.v_proj = new Linear(hiddenSize, hiddenSize, { bias });
    this.q_proj = new Linear(hiddenSize, hiddenSize, { bias });
    this.out_proj = new Linear(hiddenSize, hiddenSize, { bias });
    this.#dropout = config.dropout;
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: PassInputs, context: Context): Tensor {
    const [q, k, v] = [this.q_proj, this.k_proj, this.v_proj].map((projection) =>
      this.split(projection.forward(x, context), this.heads.heads),
    );
    const mixed = this.out_proj.forward(this.attend(q!, k!, v!, pass, context), context);
    return trainingDropout(mixed, this.#dropout, context, 'dropout');
  }
}

/** OPT's block, the layers of its MLP its own. */
export class OPTDecoderLayer extends DecoderBlock<PassInputs> {
  readonly self_attn: OPTAttention;
  readonly self_attn_layer_norm: LayerNorm;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly final_layer_norm: LayerNorm;
  readonly #config: OPTConfig;

  constructor(config: OPTConfig, layerIndex: number) {
    super();
    const { hiddenSize, intermediateSize, bias } = config;
    this.self_attn = new OPTAttention(config, layerIndex);
    this.self_attn_layer_norm = new LayerNorm(hiddenSize, normEps);
    this.fc1 = new Linear(hiddenSize, intermediateSize, { bias });
    this.fc2 = new Linear(intermediateSize, hiddenSize, { bias });
    this.final_layer_norm = new LayerNorm(hiddenSize, normEps);
    this.#config = config;
  }

  get parts(): DecoderParts<PassInputs> {
    return {
      attentionNorm: this.self_attn_layer_norm,
      attention: this.self_attn,
      mlpNorm: this.final_layer_norm,
      mlp: { forward: (x, context) => this.#feedForward(x, context) },
      order: this.#config.normBefore ? 'pre-norm' : 'post-norm',
    };
  }

  #feedForward(x: Tensor, context: Context): Tensor {
    const { activation, dropout } = this.#config;
    const wide = activations[activation](this.fc1.forward(x, context));
    return trainingDropout(this.fc2.forward(wide, context), dropout, context, 'dropout');
  }
}
