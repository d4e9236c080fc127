import type { JsonObject, Weights } from '@graftjs/checkpoint';
import type { Context, Embedding, Linear, Module, Site } from '@graftjs/nn';
import type { Tensor } from '@graftjs/tensor';
import type {
  CrossAttentionBlock,
  CrossCache,
  DecoderBlock,
  Encoded,
  KvCache,
  PostNormBlock,
  PreNormBlock,
} from '@graftjs/transformer';

/** What every model's `config.json` says, under one name for all architectures. */
export interface ModelConfig {
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  /** Tokens that a text may have. */
  readonly maxPositions: number;
  /** Whether the output weights are the input embeddings. */
  readonly tieWordEmbeddings: boolean;
  /** Deviation of new weights. */
  readonly initializerRange: number;
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
}

/** A model of any architecture, with whatever head. Its parameters have the names of the checkpoint. */
export interface PretrainedModel extends Module {
  readonly config: ModelConfig;
  /** The embeddings of token ids. */
  readonly inputEmbeddings: Embedding;
}

/** What a decoder is given. */
export interface CausalInputs {
  /** i32 `[b, t]`. */
  readonly inputIds: Tensor;
  /** i32 `[t]` or `[b, t]`; left out: 0, 1, … or what follows the cache. With a prompt in front: of that, too. */
  readonly positions?: Tensor;
  readonly cache?: KvCache;
  /** i32 `[b, keys]`, 0 where a key is padding. Not needed for padding on the right. */
  readonly keyMask?: Tensor;
  /**
   * Of rows that hold several texts one after another, i32 `[b, t, 2]`: where in its row the text of each token
   * begins, and one after where it ends. A token sees its own text only and has its position in it. Padding belongs
   * to none: both are the end of the last text. Not with a cache or a virtual prompt.
   */
  readonly segments?: Tensor;
}

/** What an attachment to positions sees. */
export interface PositionDetails {
  readonly context: Context;
}

/** A decoder that says which token comes next: all that loss, generation and tuners need of it. */
export interface CausalLM extends PretrainedModel {
  /** From hidden states to logits. */
  readonly outputEmbeddings: Linear;
  /** Positions of the text, i32 `[t]` or `[b, t]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails>;
  /** In order: where adapters of sub-layers, keys and values attach. */
  readonly blocks: readonly DecoderBlock[];
  /**
   * Positions after which the keys that a cache holds fit no more, so that a text that grows beyond must be read anew.
   * Left out: they always fit.
   */
  readonly cacheFits?: number | undefined;
  /** Hidden states after the final norm, `[b, t, hidden]`, t counting a virtual prompt. */
  hiddenStates(inputs: CausalInputs, context: Context): Tensor;
  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: CausalInputs, context: Context): Tensor;
}

/** What an encoder reads. */
export interface EncoderInputs {
  /** i32 `[b, s]`. */
  readonly inputIds: Tensor;
  /** i32 `[b, s]`, 0 where a token is padding: every token sees all others, so that padding must be named. */
  readonly keyMask?: Tensor;
}

/** What an encoder that stands alone is given. */
export interface TextInputs extends EncoderInputs {
  /** i32 `[b, s]`: which of two texts a token belongs to; left out: 0. Models without token types do not look at it. */
  readonly tokenTypeIds?: Tensor;
  /** i32 `[s]` or `[b, s]`, as the table of positions counts them; left out: those of a text from its first token. */
  readonly positions?: Tensor;
}

/** What a text, or each of its tokens, is sorted into. */
export interface EncoderConfig extends ModelConfig {
  /** Names of the classes, in order (`id2label`). */
  readonly labels: readonly string[];
  /** What a classifier of texts learns; undefined where `config.json` leaves it open. */
  readonly problemType: ProblemType | undefined;
}

/** `problem_type` of `config.json`. */
export type ProblemType = 'single_label_classification' | 'multi_label_classification' | 'regression';

/** An encoder, bare or with a head: all that losses and tuners need of it. Every token sees the whole text. */
export interface EncoderModel extends PretrainedModel {
  readonly config: EncoderConfig;
  /** Positions of the text, i32 `[s]` or `[b, s]`: for attachments that put keys in front of the text's. */
  readonly positions: Site<PositionDetails>;
  /** What enters the first block, `[b, s, hidden]`. */
  readonly embedded: Site<PositionDetails>;
  /** In order: where adapters of sub-layers, keys and values attach. */
  readonly blocks: readonly PostNormBlock[];
  /** Hidden states after the last block, `[b, s, hidden]`, s counting a virtual prompt. */
  hiddenStates(inputs: TextInputs, context: Context): Tensor;
  /**
   * What the head says: of each token `[b, s, n]`, s counting a virtual prompt, or of each text `[b, n]`; of a bare model
   * the hidden states.
   */
  forward(inputs: TextInputs, context: Context): Tensor;
}

/** An encoder that says which token stands in the place of a masked one. */
export interface MaskedLM extends EncoderModel {
  /** From the head's states to logits. */
  readonly outputEmbeddings: Linear;
}

/** What the decoder of an encoder-decoder is given. */
export interface DecoderInputs {
  /** i32 `[b, t]`: the start token, and what was said so far. */
  readonly decoderInputIds: Tensor;
  readonly encoded: Encoded | CrossCache;
  readonly cache?: KvCache;
}

export type Seq2SeqInputs = EncoderInputs & Pick<DecoderInputs, 'decoderInputIds'>;

export interface Seq2SeqConfig extends ModelConfig {
  /** Of the decoder; `layers` are the encoder's. */
  readonly decoderLayers: number;
  /** What the decoder begins every text with. */
  readonly decoderStartTokenId: number;
}

/** An encoder-decoder that says which token comes next: all that loss, generation and tuners need of it. */
export interface Seq2SeqLM extends PretrainedModel {
  readonly config: Seq2SeqConfig;
  /** The embeddings of what the decoder reads; `inputEmbeddings` are the encoder's. They may share their weight. */
  readonly decoderEmbeddings: Embedding;
  /** From hidden states to logits. */
  readonly outputEmbeddings: Linear;
  readonly encoderBlocks: readonly PreNormBlock[];
  /** The decoder's, in order. */
  readonly blocks: readonly CrossAttentionBlock[];
  encode(inputs: EncoderInputs, context: Context): Encoded;
  /** Hidden states of the decoder as the head takes them, `[b, t, hidden]`, t counting a virtual prompt. */
  hiddenStates(inputs: DecoderInputs, context: Context): Tensor;
  /** Logits `[b, t, vocabulary]`, t counting a virtual prompt. */
  forward(inputs: Seq2SeqInputs, context: Context): Tensor;
}

/**
 * How models of one kind are read from `config.json` and built. Pass those that you need to {@link loadModel}: a
 * program holds only these. An architecture of your own is an object like ours.
 */
export interface Architecture<Model extends PretrainedModel = CausalLM> {
  /** The `model_type`s of `config.json` that it reads. */
  readonly modelTypes: readonly string[];
  /** Where the model without its head is in the whole; files of the bare model have names without it. '': nowhere. */
  readonly baseModelPrefix: string;
  /** Of a bare model: where its weights are in files of models with a head. */
  readonly prefixWithHead?: string;
  /** The present name of a tensor that older files name otherwise; others as they are. */
  readonly renamed?: (name: string) => string;
  /** Weights that begin anew where a file has none and `loadModel` may make them: the head of a new task. */
  readonly newWeights?: RegExp;
  /** Tensors in files of such models that are no weights, such as tables that follow from the config. */
  readonly ignoredTensors?: RegExp;
  /** @param generation `generation_config.json` @throws ConfigError */
  parseConfig(json: JsonObject, generation?: JsonObject): Model['config'];
  /** The config where the weights decide what `config.json` leaves open. */
  configFor?(config: Model['config'], weights: Weights): Promise<Model['config']>;
  /** Names and shapes of a few weights: a config that does not fit them is refused before its model takes memory. */
  landmarks(config: Model['config']): Iterable<readonly [name: string, shape: readonly number[]]>;
  /** The model, its weights not yet set: norms at 1, the rest 0. */
  build(config: Model['config']): Model;
  /** Deviation of a new weight, where it is not the config's `initializerRange`. */
  initialDeviation?(name: string, config: Model['config']): number;
}

/** The model that an architecture builds. */
export type ModelOf<A> = A extends { build(config: never): infer Model } ? Model : never;
