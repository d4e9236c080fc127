import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import {
  type ChatTemplate,
  type ChatTemplateLimits,
  compileChatTemplate,
  type MarkedText,
  type Message,
  type RenderOptions,
} from './chat-template.ts';
import { ChatTemplateError, TokenizerError, VocabularyError } from './errors.ts';

/** Text to token ids and back. Ids of special tokens are `undefined` where the tokenizer has none. */
export interface Tokenizer {
  /** One more than the largest id, added tokens included. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  readonly hasChatTemplate: boolean;
  /** `addSpecialTokens` (default `true`) adds what the tokenizer's post-processor adds, such as BOS. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Int32Array;
  /** Ids that the vocabulary does not hold are left out, as in Hugging Face `tokenizers`. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
  isSpecial(id: number): boolean;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** The text of a conversation. Encode it with `addSpecialTokens: false`: templates write BOS themselves.
   * @throws ChatTemplateError where there is no template or it refuses the conversation. */
  applyChatTemplate(messages: readonly Message[], options?: RenderOptions): string;
  /** As `applyChatTemplate`, with the ranges between `{% generation %}` marks; `undefined` without marks. */
  applyMarkedChatTemplate(messages: readonly Message[], options?: RenderOptions): MarkedText | undefined;
}

export interface LoadTokenizerOptions {
  /** The parsed `tokenizer.json`. */
  readonly tokenizerJson: unknown;
  /** The parsed `tokenizer_config.json`. */
  readonly tokenizerConfig?: unknown;
  /** Jinja source; replaces the configuration's `chat_template`. */
  readonly chatTemplate?: string;
  readonly chatTemplateLimits?: ChatTemplateLimits;
  /** Rows of the model's embedding; checked against the vocabulary where given. */
  readonly modelVocabSize?: number;
}

/**
 * Makes a tokenizer from the objects in a model's `tokenizer.json` and `tokenizer_config.json`.
 *
 * @throws TokenizerError where they are not what they should be; VocabularyError where the vocabulary is
 *   larger than `modelVocabSize`; ChatTemplateError where the chat template does not parse.
 */
export const loadTokenizer = (options: LoadTokenizerOptions): Tokenizer => {
  const json = objectOf(options.tokenizerJson, 'tokenizer.json');
  const config = objectOf(options.tokenizerConfig ?? {}, 'tokenizer_config.json');
  let hub: HubTokenizer;
  let lastId = -1;
  try {
    hub = new HubTokenizer({ added_tokens: [], ...json }, config);
    for (const id of hub.get_vocab().values()) lastId = Math.max(lastId, id);
  } catch (cause) {
    throw new TokenizerError(
      `tokenizer.json cannot be loaded (${cause instanceof Error ? cause.message : cause}): ` +
        'it must be the fast tokenizer that Hugging Face `tokenizers` writes',
      { cause },
    );
  }
  const vocabSize = lastId + 1;
  if (options.modelVocabSize !== undefined && vocabSize > options.modelVocabSize)
    throw new VocabularyError(vocabSize, options.modelVocabSize);

  const specialTokens = specialTokensOf(config);
  const idOf = (name: string): number | undefined => {
    const token = specialTokens[name];
    return token === undefined ? undefined : hub.token_to_id(token);
  };
  const specialIds = new Set<number>(
    Object.keys(specialTokens)
      .map(idOf)
      .filter((id) => id !== undefined),
  );
  for (const [id, token] of hub.get_added_tokens_decoder()) if (token.special) specialIds.add(id);

  const source = options.chatTemplate ?? chatTemplateOf(config.chat_template);
  const template: ChatTemplate | undefined =
    source === undefined ? undefined : compileChatTemplate(source, specialTokens, options.chatTemplateLimits);
  const needTemplate = (): ChatTemplate => {
    if (template) return template;
    throw new ChatTemplateError(
      'the tokenizer has no chat template: give one (`template: chatml`), or use prompt and completion',
    );
  };
  // Transformers writes this key; where it is missing, its present default is not to clean up.
  const clean_up_tokenization_spaces = config.clean_up_tokenization_spaces === true;

  return {
    vocabSize,
    bosId: idOf('bos_token'),
    eosId: idOf('eos_token'),
    padId: idOf('pad_token'),
    unkId: idOf('unk_token') ?? hub.model?.unk_token_id,
    hasChatTemplate: template !== undefined,
    encode: (text, { addSpecialTokens = true } = {}) => {
      const { ids } = hub.encode(text, { add_special_tokens: addSpecialTokens });
      if (ids.includes(undefined as never))
        throw new TokenizerError(
          `the vocabulary lacks a part of ${excerpt(text)} and has no token for the unknown`,
        );
      return Int32Array.from(ids);
    },
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      const known = Array.from(ids).filter(
        (id) => hub.id_to_token(id) !== undefined && !(skipSpecialTokens && specialIds.has(id)),
      );
      return known.length === 0 ? '' : hub.decode(known, { clean_up_tokenization_spaces });
    },
    isSpecial: (id) => specialIds.has(id),
    tokenToId: (token) => hub.token_to_id(token),
    idToToken: (id) => hub.id_to_token(id),
    applyChatTemplate: (messages, render) => needTemplate().render(messages, render),
    applyMarkedChatTemplate: (messages, render) => {
      const marked = needTemplate();
      return marked.marksGeneration ? marked.renderMarked(messages, render) : undefined;
    },
  };
};

const objectOf = (value: unknown, file: string): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TokenizerError(
      `${file} must hold a JSON object, not ${value === null ? 'null' : typeof value}`,
    );
  return value as Record<string, unknown>;
};

/** `bos_token: "<s>"` or `bos_token: { content: "<s>", … }`, for every key `…_token`. */
const specialTokensOf = (config: Record<string, unknown>): Record<string, string> => {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue;
    const content =
      typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
    if (typeof content === 'string') tokens[key] = content;
  }
  return tokens;
};

/** The configuration holds one template, or a list of named ones of which `default` is meant. */
const chatTemplateOf = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as readonly { name?: unknown; template?: unknown }[];
  const chosen = (named.find(({ name }) => name === 'default') ?? named[0])?.template;
  return typeof chosen === 'string' ? chosen : undefined;
};

const excerpt = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
