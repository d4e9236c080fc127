import type { Weights } from '@graftjs/checkpoint';
import {
  type Context,
  Embedding,
  Linear,
  Module,
  type Parameter,
  RmsNorm,
  trainingDropout,
} from '@graftjs/nn';
import { mul, type Tensor } from '@graftjs/tensor';
import {
  type CrossPassInputs,
  type Encoded,
  type PassInputs,
  type PreNormBlock,
  RelativePositions,
} from '@graftjs/transformer';
import type {
  Architecture,
  DecoderInputs,
  EncoderInputs,
  Seq2SeqInputs,
  Seq2SeqLM,
} from '../architecture.ts';
import type { T5SelfAttention } from './attention.ts';
import { T5DecoderBlock, T5EncoderBlock } from './block.ts';
import { parseT5Config, type T5Config } from './config.ts';

/** Embeddings, blocks that share the biases of the first, final norm. */
export class T5Stack<Pass extends PassInputs, Block extends PreNormBlock<Pass>> extends Module {
  readonly embed_tokens: Embedding;
  readonly block: readonly Block[];
  readonly final_layer_norm: RmsNorm;
  readonly #positions: RelativePositions;
  readonly #dropout: number;

  /** @param shared the embeddings of both stacks */
  constructor(config: T5Config, shared: Parameter, blocks: readonly Block[]) {
    super();
    this.embed_tokens = new Embedding(config.vocabSize, config.hiddenSize, { weight: shared });
    this.block = blocks;
    this.final_layer_norm = new RmsNorm(config.hiddenSize, config.normEps);
    this.#dropout = config.dropout;
    this.#positions = new RelativePositions({
      buckets: config.relativeBuckets,
      maxDistance: config.relativeMaxDistance,
      bidirectional: !blocks[0]!.parts.attention.causal,
    });
  }

  /** ids i32 `[b, t]` -> `[b, t, hidden]`, t counting what attachments put in front of the embeddings. */
  forward(ids: Tensor, pass: Pass, context: Context): Tensor {
    const drop = (x: Tensor): Tensor => trainingDropout(x, this.#dropout, context, 'dropout_rate');
    const first = this.block[0]!.parts.attention as T5SelfAttention;
    const bias = this.#positions.bias(first.relative_attention_bias!, context);
    let hidden = drop(this.embed_tokens.forward(ids, context));
    for (const block of this.block) hidden = block.forward(hidden, { ...pass, bias }, context);
    return drop(this.final_layer_norm.forward(hidden));
  }
}

/** T5 with its language-model head. Parameter names are Hugging Face's. */
export class T5ForConditionalGeneration extends Module implements Seq2SeqLM {
  readonly config: T5Config;
  readonly shared: Embedding;
  readonly encoder: T5Stack<PassInputs, T5EncoderBlock>;
  readonly decoder: T5Stack<CrossPassInputs, T5DecoderBlock>;
  /** Shares its weight with the embeddings where the config ties them. */
  readonly lm_head: Linear;

  constructor(config: T5Config) {
    super();
    const { vocabSize, hiddenSize, layers, decoderLayers } = config;
    this.config = config;
    this.shared = new Embedding(vocabSize, hiddenSize);
    const { weight } = this.shared;
    const blocks = <Block>(count: number, make: (layer: number) => Block): Block[] =>
      Array.from({ length: count }, (_, i) => make(i));
    this.encoder = new T5Stack(
      config,
      weight,
      blocks(layers, (i) => new T5EncoderBlock(config, i)),
    );
    this.decoder = new T5Stack(
      config,
      weight,
      blocks(decoderLayers, (i) => new T5DecoderBlock(config, i)),
    );
    this.lm_head = new Linear(hiddenSize, vocabSize, config.tieWordEmbeddings ? { weight } : {});
  }

  get inputEmbeddings(): Embedding {
    return this.encoder.embed_tokens;
  }
  get decoderEmbeddings(): Embedding {
    return this.decoder.embed_tokens;
  }
  get outputEmbeddings(): Linear {
    return this.lm_head;
  }
  get encoderBlocks(): readonly T5EncoderBlock[] {
    return this.encoder.block;
  }
  get blocks(): readonly T5DecoderBlock[] {
    return this.decoder.block;
  }

  encode({ inputIds, keyMask }: EncoderInputs, context: Context): Encoded {
    const mask = keyMask ? { keyMask } : {};
    return { states: this.encoder.forward(inputIds, mask, context), ...mask };
  }

  hiddenStates({ decoderInputIds, encoded, cache }: DecoderInputs, context: Context): Tensor {
    const pass = { encoded, ...(cache ? { cache } : {}) };
    const hidden = this.decoder.forward(decoderInputIds, pass, context);
    return this.config.scalesOutput ? mul(hidden, this.config.hiddenSize ** -0.5) : hidden;
  }

  forward({ decoderInputIds, ...inputs }: Seq2SeqInputs, context: Context): Tensor {
    const encoded = this.encode(inputs, context);
    return this.lm_head.forward(this.hiddenStates({ decoderInputIds, encoded }, context), context);
  }
}

/** T5, T5 v1.1 and Flan-T5. */
export const t5: Architecture<T5ForConditionalGeneration> = {
  modelTypes: ['t5'],
  baseModelPrefix: '',
  // A table that nothing reads, in older files.
  ignoredTensors: /EncDecAttention\.relative_attention_bias\.weight$/,
  parseConfig: parseT5Config,
  configFor: async (config, weights) => ({ ...config, tieWordEmbeddings: await isTied(config, weights) }),
  landmarks: ({ vocabSize, hiddenSize, layers, decoderLayers }) => [
    ['shared.weight', [vocabSize, hiddenSize]],
    [`encoder.block.${layers - 1}.layer.0.layer_norm.weight`, [hiddenSize]],
    [`decoder.block.${decoderLayers - 1}.layer.0.layer_norm.weight`, [hiddenSize]],
  ],
  build: (config) => new T5ForConditionalGeneration(config),
  initialDeviation: (name, { initializerRange: factor, hiddenSize, headDim, heads, intermediateSize }) => {
    if (/^(shared|lm_head)\./.test(name)) return factor;
    if (name.endsWith('.q.weight')) return factor * (hiddenSize * headDim) ** -0.5;
    if (name.endsWith('.o.weight')) return factor * (heads * headDim) ** -0.5;
    if (name.endsWith('.wo.weight')) return factor * intermediateSize ** -0.5;
    return factor * hiddenSize ** -0.5;
  },
};

/** A head in the file that is not the embeddings is the model's own, whatever config.json says, as in transformers. */
async function isTied({ tieWordEmbeddings }: T5Config, weights: Weights): Promise<boolean> {
  const [head, shared] = ['lm_head.weight', 'shared.weight'];
  if (!weights.tensors.has(head)) return true;
  if (!tieWordEmbeddings) return false;
  const [a, b] = [await weights.readFloat32(head), await weights.readFloat32(shared)];
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
