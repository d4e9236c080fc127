import { type Context, Embedding, LayerNorm, Linear, Module, Site, trainingDropout } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import type { Architecture, CausalInputs, CausalLM, PositionDetails } from '../architecture.ts';
import { checkLength, positionsOf } from '../positions.ts';
import { GPT2Block } from './block.ts';
import { type GPT2Config, parseGPT2Config } from './config.ts';

/**
 * Embeddings of tokens and positions, blocks, final norm. Attachments to the token embeddings' output may put virtual
 * tokens in front of the text: they count as tokens, and the hidden states are longer by them.
 */
export class GPT2Model extends Module {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly h: GPT2Block[];
  readonly ln_f: LayerNorm;
  /** Positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  /** What enters the first block, `[b, t, hidden]`. */
  readonly embedded: Site<PositionDetails> = new Site();
  readonly #config: GPT2Config;

  constructor(config: GPT2Config) {
    super();
    this.#config = config;
    this.wte = new Embedding(config.vocabSize, config.hiddenSize);
    this.wpe = new Embedding(config.maxPositions, config.hiddenSize);
    this.h = Array.from({ length: config.layers }, (_, i) => new GPT2Block(config, i));
    this.ln_f = new LayerNorm(config.hiddenSize, config.normEps);
  }

  /**
   * Hidden states after the final norm, `[b, t, hidden]`. Positions that are given must be below the config's.
   * @throws PositionsError where they are counted and exceed them; DropoutSeedError
   */
  forward(inputs: CausalInputs, context: Context): Tensor {
    const { maxPositions, embeddingDropout } = this.#config;
    const tokens = this.wte.forward(inputs.inputIds, context);
    const t = tokens.shape[1]!;
    checkLength(inputs, t, maxPositions);
    const positions = this.positions.apply(positionsOf(inputs, t), { context });
    const embedded = add(tokens, this.wpe.forward(positions, context));
    const dropped = trainingDropout(embedded, embeddingDropout, context, 'embd_pdrop');
    let hidden = this.embedded.apply(dropped, { context });
    for (const block of this.h) hidden = block.forward(hidden, inputs, context);
    return this.ln_f.forward(hidden);
  }
}

/** GPT-2 with its language-model head. Parameter names are Hugging Face's. */
export class GPT2LMHeadModel extends Module implements CausalLM {
  readonly config: GPT2Config;
  readonly transformer: GPT2Model;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly lm_head: Linear;

  constructor(config: GPT2Config) {
    super();
    this.config = config;
    this.transformer = new GPT2Model(config);
    this.lm_head = new Linear(
      config.hiddenSize,
      config.vocabSize,
      config.tieWordEmbeddings ? { weight: this.transformer.wte.weight } : {},
    );
  }

  get inputEmbeddings(): Embedding {
    return this.transformer.wte;
  }
  get outputEmbeddings(): Linear {
    return this.lm_head;
  }
  get positions(): Site<PositionDetails> {
    return this.transformer.positions;
  }
  get embedded(): Site<PositionDetails> {
    return this.transformer.embedded;
  }
  get blocks(): readonly GPT2Block[] {
    return this.transformer.h;
  }

  hiddenStates(inputs: CausalInputs, context: Context): Tensor {
    return this.transformer.forward(inputs, context);
  }

  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    return this.lm_head.forward(this.hiddenStates(inputs, context), context);
  }
}

/** GPT-2 and models of its kind, such as DistilGPT-2. */
export const gpt2: Architecture<GPT2LMHeadModel> = {
  modelTypes: ['gpt2'],
  baseModelPrefix: 'transformer',
  // Causal masks, which older files keep.
  ignoredTensors: /\.attn\.(bias|masked_bias)$/,
  parseConfig: parseGPT2Config,
  landmarks: ({ vocabSize, maxPositions, hiddenSize, layers }) => [
    ['transformer.wte.weight', [vocabSize, hiddenSize]],
    ['transformer.wpe.weight', [maxPositions, hiddenSize]],
    [`transformer.h.${layers - 1}.ln_1.weight`, [hiddenSize]],
  ],
  build: (config) => new GPT2LMHeadModel(config),
  // What goes into the residual stream is smaller, the more layers there are (Radford et al., 2019).
  initialDeviation: (name, { initializerRange, layers }) =>
    name.endsWith('c_proj.weight') ? initializerRange / Math.sqrt(2 * layers) : initializerRange,
};
