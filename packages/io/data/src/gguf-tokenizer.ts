/**
 * The tokenizer in the metadata of a GGUF file (`tokenizer.ggml.*`), as the objects that `loadTokenizer` takes and
 * that `transformers` reads from tokenizer.json and tokenizer_config.json.
 */
import { TokenizerError } from './errors.ts';
import { type PreTokenizing, preTokenizings } from './gguf-pre-tokenizers.ts';

/** What stands in tokenizer.json and tokenizer_config.json of the same model. */
export interface GgufTokenizer {
  readonly tokenizerJson: Readonly<Record<string, unknown>>;
  /** With `chat_template` where the file has one. */
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
}

/** `tokenizer.ggml.token_type` of llama.cpp. */
const normal = 1;
const unknown = 2;
const control = 3;
const userDefined = 4;

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: ArrayLike<number>;
  readonly ids: ReadonlyMap<string, number>;
}

/** The sum of squared lengths of a SentencePiece vocabulary, in characters: Gemma's, the largest, has some 2^25. */
const mostPairs = 2 ** 28;

/**
 * Translates byte-level BPE (`gpt2`, cut as `tokenizer.ggml.pre` says: GPT-2, SmolLM, Llama 3, Qwen2, Tekken and
 * others) and SentencePiece BPE (`llama`), with special tokens, BOS and EOS, and the chat template.
 * @param metadata the keys of the file; those outside `tokenizer.` are not looked at
 * @throws TokenizerError where the tokenizer is of another kind or what describes it is missing or damaged
 */
export const ggufTokenizer = (metadata: ReadonlyMap<string, unknown>): GgufTokenizer => {
  const model = metadata.get('tokenizer.ggml.model');
  if (model !== 'gpt2' && model !== 'llama')
    throw refused(
      'tokenizer.ggml.model',
      model === undefined ? 'is missing' : `${shown(model)} is not supported; supported are gpt2 and llama`,
    );
  const vocabulary = vocabularyOf(metadata);
  const tokenOf = (key: string): string | undefined => {
    const id = metadata.get(`tokenizer.ggml.${key}`);
    if (id === undefined) return undefined;
    const token = typeof id === 'number' ? vocabulary.tokens[id] : undefined;
    // llama.cpp writes the largest number for none.
    if (token === undefined && id !== 2 ** 32 - 1) throw refused(`tokenizer.ggml.${key}`, 'is no token');
    return token;
  };
  const special = {
    bos_token: tokenOf('bos_token_id'),
    eos_token: tokenOf('eos_token_id'),
    unk_token: tokenOf('unknown_token_id') ?? (model === 'llama' ? vocabulary.tokens[0] : undefined),
    pad_token: tokenOf('padding_token_id'),
  };
  const kind = model === 'gpt2' ? preTokenizingOf(metadata) : undefined;
  const addBos = flag(metadata, 'add_bos_token', kind ? kind.addBos === true : true);
  const addEos = flag(metadata, 'add_eos_token', false);
  const template = metadata.get('tokenizer.chat_template');
  return {
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary),
      ...(kind
        ? byteLevel(metadata, vocabulary, kind)
        : sentencePiece(metadata, vocabulary, special.unk_token, flag(metadata, 'add_space_prefix', true))),
      post_processor: aroundText(
        vocabulary,
        addBos ? special.bos_token : undefined,
        addEos ? special.eos_token : undefined,
      ),
    },
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...Object.fromEntries(Object.entries(special).filter(([, token]) => token !== undefined)),
      add_bos_token: addBos,
      add_eos_token: addEos,
      clean_up_tokenization_spaces: false,
      ...(typeof template === 'string' ? { chat_template: template } : {}),
    },
  };
};

const vocabularyOf = (metadata: ReadonlyMap<string, unknown>): Vocabulary => {
  const tokens = texts(metadata, 'tokens');
  const types = metadata.get('tokenizer.ggml.token_type') ?? new Int32Array(tokens.length).fill(normal);
  if (!(types instanceof Int32Array || types instanceof Uint32Array) || types.length !== tokens.length)
    throw refused(
      'tokenizer.ggml.token_type',
      `does not hold one number for each of ${tokens.length} tokens`,
    );
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (ids.has(token)) throw refused('tokenizer.ggml.tokens', `holds ${shown(token)} twice`);
    ids.set(token, id);
  });
  return { tokens, types, ids };
};

const preTokenizingOf = (metadata: ReadonlyMap<string, unknown>): PreTokenizing => {
  const pre = metadata.get('tokenizer.ggml.pre');
  if (typeof pre === 'string' && Object.hasOwn(preTokenizings, pre)) return preTokenizings[pre]!;
  throw refused(
    'tokenizer.ggml.pre',
    pre === undefined
      ? 'is missing, as in old files: convert the model again with a present-day llama.cpp'
      : `${shown(pre)} is not supported; supported are ${Object.keys(preTokenizings).join(', ')}`,
  );
};

/** Control tokens are special; user-defined ones are only never cut. */
const addedTokens = ({ tokens, types }: Vocabulary): object[] =>
  tokens.flatMap((content, id) => {
    const type = types[id];
    if (type !== control && type !== userDefined && type !== unknown) return [];
    const special = type !== userDefined;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });

const byteLevel = (
  metadata: ReadonlyMap<string, unknown>,
  { tokens }: Vocabulary,
  { splits, ignoreMerges, nfc }: PreTokenizing,
): object => {
  const merges = texts(metadata, 'merges').map((merge) => {
    const pair = merge.split(' ');
    if (pair.length !== 2) throw refused('tokenizer.ggml.merges', `holds ${shown(merge)}, which is no pair`);
    return pair;
  });
  return {
    normalizer: nfc ? { type: 'NFC' } : null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...splits.map((Regex) => ({
          type: 'Split',
          pattern: { Regex },
          behavior: 'Isolated',
          invert: false,
        })),
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges === true,
      vocab: numbered(tokens),
      merges,
    },
  };
};

const sentencePiece = (
  metadata: ReadonlyMap<string, unknown>,
  vocabulary: Vocabulary,
  unkToken: string | undefined,
  addSpace: boolean,
): object => {
  const toBlocks = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const fromBlocks = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: addSpace ? [{ type: 'Prepend', prepend: '▁' }, toBlocks] : [toBlocks],
    },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        fromBlocks,
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unkToken,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: numbered(vocabulary.tokens),
      merges: mergesByScore(metadata, vocabulary),
    },
  };
};

/**
 * SentencePiece merges the two neighbours whose piece has the highest score: as a list of merges, every way to cut
 * every piece in two, best piece first.
 */
const mergesByScore = (
  metadata: ReadonlyMap<string, unknown>,
  { tokens, types, ids }: Vocabulary,
): string[][] => {
  const scores = metadata.get('tokenizer.ggml.scores');
  if (!(scores instanceof Float32Array) || scores.length !== tokens.length)
    throw refused('tokenizer.ggml.scores', `does not hold one number for each of ${tokens.length} tokens`);
  const merges: { left: string; right: string; score: number; length: number }[] = [];
  const mergeable = (piece: string): boolean => {
    const id = ids.get(piece);
    return id !== undefined && types[id] === normal;
  };
  let pairs = 0;
  tokens.forEach((token, id) => {
    if (types[id] !== normal) return;
    pairs += token.length ** 2;
    if (pairs > mostPairs)
      throw refused('tokenizer.ggml.tokens', 'is too large: its pieces are too long or too many');
    for (let cut = 1; cut < token.length; cut++) {
      // Not between the halves of a character beyond U+FFFF.
      if ((token.charCodeAt(cut) & 0xfc00) === 0xdc00) continue;
      const left = token.slice(0, cut);
      const right = token.slice(cut);
      if (mergeable(left) && mergeable(right)) merges.push({ left, right, score: scores[id]!, length: cut });
    }
  });
  // Among equal pieces the longer left part first, as `generate_merges` of transformers has it.
  merges.sort((a, b) => b.score - a.score || b.length - a.length);
  return merges.map(({ left, right }) => [left, right]);
};

const aroundText = ({ ids }: Vocabulary, bos: string | undefined, eos: string | undefined): object | null => {
  if (bos === undefined && eos === undefined) return null;
  const one = (id: string | undefined): object[] =>
    id === undefined ? [] : [{ SpecialToken: { id, type_id: 0 } }];
  const text = { Sequence: { id: 'A', type_id: 0 } };
  const tokens = [...new Set([bos, eos].filter((token) => token !== undefined))];
  return {
    type: 'TemplateProcessing',
    single: [...one(bos), text, ...one(eos)],
    pair: [...one(bos), text, ...one(eos), ...one(bos), { Sequence: { id: 'B', type_id: 1 } }, ...one(eos)],
    special_tokens: Object.fromEntries(
      tokens.map((token) => [token, { id: token, ids: [ids.get(token)!], tokens: [token] }]),
    ),
  };
};

const numbered = (tokens: readonly string[]): Record<string, number> =>
  Object.fromEntries(tokens.map((token, id) => [token, id]));

const texts = (metadata: ReadonlyMap<string, unknown>, key: string): readonly string[] => {
  const value = metadata.get(`tokenizer.ggml.${key}`);
  if (Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string'))
    return value as readonly string[];
  throw refused(`tokenizer.ggml.${key}`, value === undefined ? 'is missing' : 'is not a list of texts');
};

const flag = (metadata: ReadonlyMap<string, unknown>, key: string, fallback: boolean): boolean => {
  const value = metadata.get(`tokenizer.ggml.${key}`) ?? fallback;
  if (typeof value !== 'boolean') throw refused(`tokenizer.ggml.${key}`, 'is neither true nor false');
  return value;
};

const refused = (key: string, what: string): TokenizerError =>
  new TokenizerError(`the GGUF file's ${key} ${what}`);

const shown = (value: unknown): string => {
  const text = typeof value === 'string' ? JSON.stringify(value) : typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text;
};
