import { type Context, Embedding, LayerNorm, Linear, Module, Site, trainingDropout } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { type RotaryTable, rotaryTable } from '@graftjs/transformer';
import type { Architecture, CausalInputs, CausalLM, PositionDetails } from '../architecture.ts';
import { positionsOf } from '../positions.ts';
import { GPTNeoXLayer } from './block.ts';
import { type GPTNeoXConfig, parseGPTNeoXConfig } from './config.ts';

/**
 * Embeddings, blocks, final norm. Attachments to the embeddings' output may put virtual tokens in front of the text:
 * they count as tokens, and the hidden states are longer by them.
 */
export class GPTNeoXModel extends Module {
  readonly embed_in: Embedding;
  readonly layers: GPTNeoXLayer[];
  readonly final_layer_norm: LayerNorm;
  /** Rotary positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  readonly #rotary: RotaryTable;
  readonly #dropout: number;

  constructor(config: GPTNeoXConfig) {
    super();
    this.embed_in = new Embedding(config.vocabSize, config.hiddenSize);
    this.layers = Array.from({ length: config.layers }, (_, i) => new GPTNeoXLayer(config, i));
    this.final_layer_norm = new LayerNorm(config.hiddenSize, config.normEps);
    this.#rotary = rotaryTable({
      headDim: config.rotaryDim,
      theta: config.ropeTheta,
      scaling: config.ropeScaling,
    });
    this.#dropout = config.hiddenDropout;
  }

  /** Hidden states after the final norm, `[b, t, hidden]`. @throws DropoutSeedError */
  forward(inputs: CausalInputs, context: Context): Tensor {
    const embedded = this.embed_in.forward(inputs.inputIds, context);
    const positions = positionsOf(inputs, embedded.shape[1]!);
    const pass = { ...inputs, ...this.#rotary(this.positions.apply(positions, { context })) };
    let hidden = trainingDropout(embedded, this.#dropout, context, 'hidden_dropout');
    for (const layer of this.layers) hidden = layer.forward(hidden, pass, context);
    return this.final_layer_norm.forward(hidden);
  }
}

/**
 * GPT-NeoX with its language-model head. Parameter names are those of its files, where the head is `embed_out`
 * (`lm_head` in the memory of `transformers` 5).
 */
export class GPTNeoXForCausalLM extends Module implements CausalLM {
  readonly config: GPTNeoXConfig;
  readonly gpt_neox: GPTNeoXModel;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly embed_out: Linear;

  constructor(config: GPTNeoXConfig) {
    super();
    this.config = config;
    this.gpt_neox = new GPTNeoXModel(config);
    this.embed_out = new Linear(
      config.hiddenSize,
      config.vocabSize,
      config.tieWordEmbeddings ? { weight: this.gpt_neox.embed_in.weight } : {},
    );
  }

  get inputEmbeddings(): Embedding {
    return this.gpt_neox.embed_in;
  }
  get outputEmbeddings(): Linear {
    return this.embed_out;
  }
  get positions(): Site<PositionDetails> {
    return this.gpt_neox.positions;
  }
  get blocks(): readonly GPTNeoXLayer[] {
    return this.gpt_neox.layers;
  }

  hiddenStates(inputs: CausalInputs, context: Context): Tensor {
    return this.gpt_neox.forward(inputs, context);
  }

  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    return this.embed_out.forward(this.hiddenStates(inputs, context), context);
  }
}

/** GPT-NeoX and Pythia. */
export const gptNeoX: Architecture<GPTNeoXForCausalLM> = {
  modelTypes: ['gpt_neox'],
  baseModelPrefix: 'gpt_neox',
  // Causal masks and rotary tables, which older files keep.
  ignoredTensors: /\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
  parseConfig: parseGPTNeoXConfig,
  landmarks: ({ vocabSize, hiddenSize, layers }) => [
    ['gpt_neox.embed_in.weight', [vocabSize, hiddenSize]],
    [`gpt_neox.layers.${layers - 1}.input_layernorm.weight`, [hiddenSize]],
  ],
  build: (config) => new GPTNeoXForCausalLM(config),
};
