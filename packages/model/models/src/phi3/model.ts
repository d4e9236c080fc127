import { type Context, Embedding, Linear, Module, RmsNorm, Site } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { type RotaryTable, rotaryTable } from '@graftjs/transformer';
import type { Architecture, CausalInputs, CausalLM, PositionDetails } from '../architecture.ts';
import { positionsOf } from '../positions.ts';
import { Phi3Block } from './block.ts';
import { type Phi3Config, parsePhi3Config } from './config.ts';

/**
 * Embeddings, decoder blocks, final norm. Attachments to the embeddings' output may put virtual tokens in front of the
 * text: they count as tokens, and the hidden states are longer by them.
 */
export class Phi3Model extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: Phi3Block[];
  readonly norm: RmsNorm;
  /** Rotary positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  readonly #rotary: RotaryTable;

  constructor(config: Phi3Config) {
    super();
    this.embed_tokens = new Embedding(config.vocabSize, config.hiddenSize);
    this.layers = Array.from({ length: config.layers }, (_, i) => new Phi3Block(config, i));
    this.norm = new RmsNorm(config.hiddenSize, config.normEps);
    this.#rotary = rotaryTable({
      headDim: config.rotaryDim,
      theta: config.ropeTheta,
      scaling: config.ropeScaling,
    });
  }

  /** Hidden states after the final norm, `[b, t, hidden]`. @throws DropoutSeedError */
  forward(inputs: CausalInputs, context: Context): Tensor {
    let hidden = this.embed_tokens.forward(inputs.inputIds, context);
    const positions = positionsOf(inputs, hidden.shape[1]!);
    const pass = { ...inputs, ...this.#rotary(this.positions.apply(positions, { context })) };
    for (const layer of this.layers) hidden = layer.forward(hidden, pass, context);
    return this.norm.forward(hidden);
  }
}

/** Phi-3 with its language-model head. Parameter names are Hugging Face's. */
export class Phi3ForCausalLM extends Module implements CausalLM {
  readonly config: Phi3Config;
  readonly model: Phi3Model;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly lm_head: Linear;

  constructor(config: Phi3Config) {
    super();
    this.config = config;
    this.model = new Phi3Model(config);
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
  get blocks(): readonly Phi3Block[] {
    return this.model.layers;
  }
  /** Beyond the original length all frequencies are others. */
  get cacheFits(): number | undefined {
    const { ropeScaling } = this.config;
    return ropeScaling.type === 'longrope' ? ropeScaling.originalMaxPositions : undefined;
  }

  hiddenStates(inputs: CausalInputs, context: Context): Tensor {
    return this.model.forward(inputs, context);
  }

  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    return this.lm_head.forward(this.hiddenStates(inputs, context), context);
  }
}

/** Phi-3, Phi-3.5 and Phi-4 (the dense ones of text alone). */
export const phi3: Architecture<Phi3ForCausalLM> = {
  modelTypes: ['phi3'],
  baseModelPrefix: 'model',
  ignoredTensors: /\.rotary_emb\.inv_freq$/,
  parseConfig: parsePhi3Config,
  landmarks: ({ vocabSize, hiddenSize, layers }) => [
    ['model.embed_tokens.weight', [vocabSize, hiddenSize]],
    [`model.layers.${layers - 1}.input_layernorm.weight`, [hiddenSize]],
  ],
  build: (config) => new Phi3ForCausalLM(config),
};
