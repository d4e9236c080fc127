import { type Context, Embedding, Linear, Module, type RmsNorm, Site } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import { type RotaryTable, rotaryTable } from '@graftjs/transformer';
import type { Architecture, CausalInputs, CausalLM, PositionDetails } from '../architecture.ts';
import type { LayerType } from '../layer-types.ts';
import { positionsOf } from '../positions.ts';
import { GemmaBlock, gemmaNorm } from './block.ts';
import { CappedHead } from './capped-head.ts';
import { type GemmaConfig, gemmaTypes, parseGemmaConfig } from './config.ts';

/**
 * Embeddings times sqrt(hidden), decoder blocks, final norm. Attachments to the embeddings' output may put virtual tokens
 * in front of the text: they count as tokens, and the hidden states are longer by them.
 */
export class GemmaModel extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: GemmaBlock[];
  readonly norm: RmsNorm;
  /** Rotary positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  readonly #layerTypes: readonly LayerType[];
  readonly #rotary: Readonly<Record<LayerType, RotaryTable>>;

  constructor(config: GemmaConfig) {
    super();
    const { vocabSize, hiddenSize, rotary } = config;
    this.embed_tokens = new Embedding(vocabSize, hiddenSize, { scale: Math.sqrt(hiddenSize) });
    this.layers = Array.from({ length: config.layers }, (_, i) => new GemmaBlock(config, i));
    this.norm = gemmaNorm(hiddenSize, config.normEps);
    this.#layerTypes = config.layerTypes;
    const tableOf = (type: LayerType): RotaryTable =>
      rotaryTable({
        headDim: rotary[type].rotaryDim,
        theta: rotary[type].ropeTheta,
        scaling: rotary[type].ropeScaling,
      });
    this.#rotary = {
      full_attention: tableOf('full_attention'),
      sliding_attention: tableOf('sliding_attention'),
    };
  }

  /** Hidden states after the final norm, `[b, t, hidden]`. */
  forward(inputs: CausalInputs, context: Context): Tensor {
    let hidden = this.embed_tokens.forward(inputs.inputIds, context);
    const positions = this.positions.apply(positionsOf(inputs, hidden.shape[1]!), { context });
    const passes = {
      full_attention: { ...inputs, ...this.#rotary.full_attention(positions) },
      sliding_attention: { ...inputs, ...this.#rotary.sliding_attention(positions) },
    };
    for (const [i, layer] of this.layers.entries())
      hidden = layer.forward(hidden, passes[this.#layerTypes[i]!], context);
    return this.norm.forward(hidden);
  }
}

/** A Gemma decoder with its language-model head. Parameter names are Hugging Face's. */
export class GemmaForCausalLM extends Module implements CausalLM {
  readonly config: GemmaConfig;
  readonly model: GemmaModel;
  /** Shares its weight with the embeddings where the config ties them; caps the logits where it says so. */
  readonly lm_head: Linear;

  constructor(config: GemmaConfig) {
    super();
    this.config = config;
    this.model = new GemmaModel(config);
    const { hiddenSize, vocabSize, logitCap } = config;
    const options = config.tieWordEmbeddings ? { weight: this.model.embed_tokens.weight } : {};
    this.lm_head =
      logitCap === undefined
        ? new Linear(hiddenSize, vocabSize, options)
        : new CappedHead(hiddenSize, vocabSize, logitCap, options);
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
  get blocks(): readonly GemmaBlock[] {
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

/** Gemma, Gemma 2, and Gemma 3 of text alone. */
export const gemma: Architecture<GemmaForCausalLM> = {
  modelTypes: gemmaTypes,
  baseModelPrefix: 'model',
  ignoredTensors: /\.rotary_emb\.inv_freq$/,
  parseConfig: parseGemmaConfig,
  landmarks: ({ vocabSize, hiddenSize, layers }) => [
    ['model.embed_tokens.weight', [vocabSize, hiddenSize]],
    [`model.layers.${layers - 1}.input_layernorm.weight`, [hiddenSize]],
  ],
  build: (config) => new GemmaForCausalLM(config),
};
