/** What Llama, Phi-3 and Gemma have in common: embeddings, blocks with rotated positions, a final norm, a head. */
import { type Context, type Embedding, Linear, Module, type RmsNorm, Site } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import type { DecoderBlock, RotaryInputs, RotaryTable } from '@graftjs/transformer';
import type { Architecture, CausalInputs, CausalLM, ModelConfig, PositionDetails } from './architecture.ts';
import { positionsOf } from './positions.ts';

type RotaryBlock = DecoderBlock<RotaryInputs>;

interface DecoderParts<Block> {
  readonly embeddings: Embedding;
  readonly blocks: Block[];
  readonly norm: RmsNorm;
  /** The rotations of a block. */
  readonly rotaryOf: (index: number) => RotaryTable;
}

/**
 * Embeddings, decoder blocks, final norm. Attachments to the embeddings' output may put virtual tokens in front of the
 * text: they count as tokens, and the hidden states are longer by them.
 */
export class RotaryDecoder<Block extends RotaryBlock> extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: Block[];
  readonly norm: RmsNorm;
  /** Rotary positions, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails> = new Site();
  readonly #rotaryOf: (index: number) => RotaryTable;

  constructor({ embeddings, blocks, norm, rotaryOf }: DecoderParts<Block>) {
    super();
    this.embed_tokens = embeddings;
    this.layers = blocks;
    this.norm = norm;
    this.#rotaryOf = rotaryOf;
  }

  /** Hidden states after the final norm, `[b, t, hidden]`. @throws DropoutSeedError */
  forward(inputs: CausalInputs, context: Context): Tensor {
    let hidden = this.embed_tokens.forward(inputs.inputIds, context);
    const positions = this.positions.apply(positionsOf(inputs, hidden.shape[1]!), { context });
    const passes = new Map<RotaryTable, CausalInputs & ReturnType<RotaryTable>>();
    for (const [i, layer] of this.layers.entries()) {
      const rotary = this.#rotaryOf(i);
      const pass = passes.get(rotary) ?? { ...inputs, ...rotary(positions) };
      passes.set(rotary, pass);
      hidden = layer.forward(hidden, pass, context);
    }
    return this.norm.forward(hidden);
  }
}

/** A decoder with its language-model head. Parameter names are Hugging Face's. */
export class RotaryCausalLM<Config extends ModelConfig, Block extends RotaryBlock>
  extends Module
  implements CausalLM
{
  readonly config: Config;
  readonly model: RotaryDecoder<Block>;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly lm_head: Linear;

  /** @param head the head, with the weight that it shares; default: a linear layer */
  constructor(
    config: Config,
    model: RotaryDecoder<Block>,
    head = (shared: SharedWeight): Linear => new Linear(config.hiddenSize, config.vocabSize, shared),
  ) {
    super();
    this.config = config;
    this.model = model;
    this.lm_head = head(config.tieWordEmbeddings ? { weight: model.embed_tokens.weight } : {});
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
  get blocks(): readonly Block[] {
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

interface SharedWeight {
  readonly weight?: Embedding['weight'];
}

/** What an {@link Architecture} says of their files. */
export const rotaryFiles = {
  baseModelPrefix: 'model',
  ignoredTensors: /\.rotary_emb\.inv_freq$/,
  landmarks: ({ vocabSize, hiddenSize, layers }: ModelConfig) => [
    ['model.embed_tokens.weight', [vocabSize, hiddenSize]],
    [`model.layers.${layers - 1}.input_layernorm.weight`, [hiddenSize]],
  ],
} satisfies Partial<Architecture>;
