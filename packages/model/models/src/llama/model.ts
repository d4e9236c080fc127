import { type Context, Embedding, Linear, Module, RmsNorm, Site } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { LlamaBlock, type RotaryTable, rotaryTable } from '@graftjs/transformer';
import type { Architecture, CausalInputs, CausalLM, PositionDetails } from '../architecture.ts';
import { positionsOf } from '../positions.ts';
import { type LlamaConfig, llamaTypes, parseLlamaConfig } from './config.ts';

/**
 * Embeddings, decoder blocks, final norm. Attachments to the embeddings' output may put virtual tokens in front of
 * the text: they count as tokens, and the hidden states are longer by them.
 */
export class LlamaModel extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: LlamaBlock[];
  readonly norm: RmsNorm;
  /** Rotary positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  readonly #rotary: RotaryTable;

  constructor(config: LlamaConfig) {
    super();
    this.embed_tokens = new Embedding(config.vocabSize, config.hiddenSize);
    this.layers = Array.from({ length: config.layers }, (_, i) => {
      const window = config.windowOf(i);
      return new LlamaBlock(
        {
          ...config,
          dropout: config.attentionDropout,
          ...(window ? { window } : {}),
          ...(config.headNorms ? { headNorm: (dim) => new RmsNorm(dim, config.normEps) } : {}),
        },
        i,
      );
    });
    this.norm = new RmsNorm(config.hiddenSize, config.normEps);
    this.#rotary = rotaryTable({
      headDim: config.headDim,
      theta: config.ropeTheta,
      scaling: config.ropeScaling,
    });
  }

  /** Hidden states after the final norm, `[b, t, hidden]`. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    let hidden = this.embed_tokens.forward(inputs.inputIds, context);
    const positions = positionsOf(inputs, hidden.shape[1]!);
    const pass = { ...inputs, ...this.#rotary(this.positions.apply(positions, { context })) };
    for (const layer of this.layers) hidden = layer.forward(hidden, pass, context);
    return this.norm.forward(hidden);
  }
}

/** A Llama-family decoder with its language-model head. Parameter names are Hugging Face's. */
export class LlamaForCausalLM extends Module implements CausalLM {
  readonly config: LlamaConfig;
  readonly model: LlamaModel;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly lm_head: Linear;

  constructor(config: LlamaConfig) {
    super();
    this.config = config;
    this.model = new LlamaModel(config);
    this.lm_head = new Linear(
      config.hiddenSize,
      config.vocabSize,
      config.tieWordEmbeddings ? { weight: this.model.embed_tokens.weight } : {},
    );
  }

  get inputEmbeddings(): Embedding {
    return this.model.embed_tokens;
  }
  get outputEmbeddings(): Linear {
    return this.lm_head;
  }
  get positions(): Site<PositionDetails> {
    return this.model.positions;
  }
  get blocks(): readonly LlamaBlock[] {
    return this.model.layers;
  }

  hiddenStates(inputs: CausalInputs, context: Context): Tensor {
    return this.model.forward(inputs, context);
  }

  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    return this.lm_head.forward(this.hiddenStates(inputs, context), context);
  }
}

/** Llama 2 and 3, Mistral, Qwen2 and 3, and what has their layout under these types. */
export const llama: Architecture<LlamaForCausalLM> = {
  modelTypes: llamaTypes,
  baseModelPrefix: 'model',
  ignoredTensors: /\.rotary_emb\.inv_freq$/,
  parseConfig: parseLlamaConfig,
  landmarks: ({ vocabSize, hiddenSize, layers }) => [
    ['model.embed_tokens.weight', [vocabSize, hiddenSize]],
    [`model.layers.${layers - 1}.input_layernorm.weight`, [hiddenSize]],
  ],
  build: (config) => new LlamaForCausalLM(config),
};
