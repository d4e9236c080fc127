import { type Context, Embedding, LayerNorm, Linear, Module, Site } from '@graftjs/nn';
import { add, type Tensor } from '@graftjs/tensor';
import type { Architecture, CausalInputs, CausalLM, PositionDetails } from '../architecture.ts';
import { checkLength, positionsOf } from '../positions.ts';
import { normEps, OPTDecoderLayer } from './block.ts';
import { type OPTConfig, parseOPTConfig } from './config.ts';

/** Rows of the table of positions before the first position's: what its tokenizer once put in front of a text. */
const positionOffset = 2;

/**
 * Embeddings of tokens and positions, blocks, and a final norm where the norms come first. Attachments to the token
 * embeddings' output may put virtual tokens in front of the text: they count as tokens, and the hidden states are longer
 * by them.
 */
export class OPTDecoder extends Module {
  readonly embed_tokens: Embedding;
  readonly embed_positions: Embedding;
  /** To and from the hidden size, where embeddings have a width of their own. */
  readonly project_in?: Linear;
  readonly project_out?: Linear;
  readonly final_layer_norm?: LayerNorm;
  readonly layers: OPTDecoderLayer[];
  /** Positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  readonly #maxPositions: number;

  constructor(config: OPTConfig) {
    super();
    const { vocabSize, hiddenSize, embeddingSize, maxPositions } = config;
    this.embed_tokens = new Embedding(vocabSize, embeddingSize);
    this.embed_positions = new Embedding(maxPositions + positionOffset, hiddenSize);
    if (embeddingSize !== hiddenSize) {
      this.project_in = new Linear(embeddingSize, hiddenSize);
      this.project_out = new Linear(hiddenSize, embeddingSize);
    }
    if (config.finalNorm) this.final_layer_norm = new LayerNorm(hiddenSize, normEps);
    this.layers = Array.from({ length: config.layers }, (_, i) => new OPTDecoderLayer(config, i));
    this.#maxPositions = maxPositions;
  }

  /**
   * What the head takes, `[b, t, embedding]`. Positions that are given must be below the config's.
   * @throws PositionsError where they are counted and exceed them; DropoutSeedError
   */
  forward(inputs: CausalInputs, context: Context): Tensor {
    const tokens = this.embed_tokens.forward(inputs.inputIds, context);
    const t = tokens.shape[1]!;
    checkLength(inputs, t, this.#maxPositions);
    const positions = this.positions.apply(positionsOf(inputs, t), { context });
    let hidden = add(
      this.project_in?.forward(tokens, context) ?? tokens,
      this.embed_positions.forward(add(positions, positionOffset), context),
    );
    for (const layer of this.layers) hidden = layer.forward(hidden, inputs, context);
    const normed = this.final_layer_norm?.forward(hidden) ?? hidden;
    return this.project_out?.forward(normed, context) ?? normed;
  }
}

/** The decoder under the name that checkpoints have for it. */
export class OPTModel extends Module {
  readonly decoder: OPTDecoder;

  constructor(config: OPTConfig) {
    super();
    this.decoder = new OPTDecoder(config);
  }
}

/** OPT with its language-model head. Parameter names are Hugging Face's. */
export class OPTForCausalLM extends Module implements CausalLM {
  readonly config: OPTConfig;
  readonly model: OPTModel;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly lm_head: Linear;

  constructor(config: OPTConfig) {
    super();
    this.config = config;
    this.model = new OPTModel(config);
    this.lm_head = new Linear(
      config.embeddingSize,
      config.vocabSize,
      config.tieWordEmbeddings ? { weight: this.model.decoder.embed_tokens.weight } : {},
    );
  }

  get inputEmbeddings(): Embedding {
    return this.model.decoder.embed_tokens;
  }
  get outputEmbeddings(): Linear {
    return this.lm_head;
  }
  get positions(): Site<PositionDetails> {
    return this.model.decoder.positions;
  }
  get blocks(): readonly OPTDecoderLayer[] {
    return this.model.decoder.layers;
  }

  /** What the head takes, `[b, t, embedding]`: of the embeddings' width. */
  hiddenStates(inputs: CausalInputs, context: Context): Tensor {
    return this.model.decoder.forward(inputs, context);
  }

  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    return this.lm_head.forward(this.hiddenStates(inputs, context), context);
  }
}

/** OPT. */
export const opt: Architecture<OPTForCausalLM> = {
  modelTypes: ['opt'],
  baseModelPrefix: 'model',
  parseConfig: parseOPTConfig,
  landmarks: ({ vocabSize, embeddingSize, maxPositions, hiddenSize, intermediateSize, layers }) => [
    ['model.decoder.embed_tokens.weight', [vocabSize, embeddingSize]],
    ['model.decoder.embed_positions.weight', [maxPositions + positionOffset, hiddenSize]],
    [`model.decoder.layers.${layers - 1}.fc1.weight`, [intermediateSize, hiddenSize]],
  ],
  build: (config) => new OPTForCausalLM(config),
};
