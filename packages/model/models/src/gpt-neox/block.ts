import { type Context, LayerNorm, Linear, Module, trainingDropout } from '@graftjs/nn';
import { narrow, permute, reshape, type Tensor } from '@graftjs/tensor';
import {
  CausalAttention,
  DecoderBlock,
  type DecoderParts,
  type RotaryInputs,
  rotateHeads,
} from '@graftjs/transformer';
import { activations } from '../activations.ts';
import type { GPTNeoXConfig } from './config.ts';

/** Causal self-attention whose one projection gives, head by head, a query, a key and a value. */
export class GPTNeoXAttention extends CausalAttention {
  readonly query_key_value: Linear;
  readonly dense: Linear;
  readonly #dropout: number;

  constructor(config: GPTNeoXConfig, layerIndex: number) {
    const { heads, headDim, hiddenSize, attentionBias: bias } = config;
    super({ heads, kvHeads: heads, headDim, dropout: config.attentionDropout }, layerIndex);
    this.query_key_value = new Linear(hiddenSize, 3 * hiddenSize, { bias });
    this.dense = new Linear(hiddenSize, hiddenSize, { bias });
    this.#dropout = config.hiddenDropout;
  }

  /** x `[b, t, hidden]` -> `[b, t, hidden]`. */
  forward(x: Tensor, pass: RotaryInputs, context: Context): Tensor {
    const { heads, headDim } = this.heads;
    const [b, t] = x.shape as [number, number];
    const projected = reshape(this.query_key_value.forward(x, context), [b, t, heads, 3 * headDim]);
    const byHead = permute(projected, [0, 2, 1, 3]); // [b, heads, t, 3 headDim]
    const [q, k, v] = [0, 1, 2].map((i) => narrow(byHead, 3, i * headDim, headDim));
    const turned = [q!, k!].map((y) => rotateHeads(y, pass.cos, pass.sin));
    const mixed = this.attend(turned[0]!, turned[1]!, v!, pass, context);
    return trainingDropout(this.dense.forward(mixed, context), this.#dropout, context, 'hidden_dropout');
  }
}

/** Out of the hidden size into a wider one, an activation, and back. */
export class GPTNeoXMLP extends Module {
  readonly dense_h_to_4h: Linear;
  readonly dense_4h_to_h: Linear;
  readonly #config: GPTNeoXConfig;

  constructor(config: GPTNeoXConfig) {
    super();
    this.dense_h_to_4h = new Linear(config.hiddenSize, config.intermediateSize, { bias: true });
    this.dense_4h_to_h = new Linear(config.intermediateSize, config.hiddenSize, { bias: true });
    this.#config = config;
  }

  forward(x: Tensor, context: Context): Tensor {
    const { activation, hiddenDropout } = this.#config;
    const wide = activations[activation](this.dense_h_to_4h.forward(x, context));
    return trainingDropout(
      this.dense_4h_to_h.forward(wide, context),
      hiddenDropout,
      context,
      'hidden_dropout',
    );
  }
}

export class GPTNeoXLayer extends DecoderBlock<RotaryInputs> {
  readonly input_layernorm: LayerNorm;
  readonly post_attention_layernorm: LayerNorm;
  readonly attention: GPTNeoXAttention;
  readonly mlp: GPTNeoXMLP;
  readonly #order: 'parallel' | 'pre-norm';

  constructor(config: GPTNeoXConfig, layerIndex: number) {
    super();
    this.input_layernorm = new LayerNorm(config.hiddenSize, config.normEps);
    this.post_attention_layernorm = new LayerNorm(config.hiddenSize, config.normEps);
    this.attention = new GPTNeoXAttention(config, layerIndex);
    this.mlp = new GPTNeoXMLP(config);
    this.#order = config.parallelResidual ? 'parallel' : 'pre-norm';
  }

  get parts(): DecoderParts<RotaryInputs> {
    return {
      attentionNorm: this.input_layernorm,
      attention: this.attention,
      mlpNorm: this.post_attention_layernorm,
      mlp: this.mlp,
      order: this.#order,
    };
  }
}
