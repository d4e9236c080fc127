import tokenizerJson from '@graftjs/tiny-llama/files/tokenizer.json' with { type: 'json' };
import tokenizerConfig from '@graftjs/tiny-llama/files/tokenizer_config.json' with { type: 'json' };
import { loadTokenizer, type Tokenizer } from '../src/tokenizer.ts';

export { tokenizerConfig, tokenizerJson };

/** The byte-level tokenizer of tiny-llama: BOS and EOS are one token. */
export const tinyLlama = (chatTemplate?: string): Tokenizer =>
  loadTokenizer({ tokenizerJson, tokenizerConfig, ...(chatTemplate === undefined ? {} : { chatTemplate }) });

const added = (content: string, id: number) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** The same with more special tokens; `config` overrides its configuration. */
export const withTokens = (
  tokens: Readonly<Record<string, number>>,
  chatTemplate: string,
  config: Readonly<Record<string, unknown>> = {},
): Tokenizer =>
  loadTokenizer({
    tokenizerJson: {
      ...tokenizerJson,
      added_tokens: [
        ...tokenizerJson.added_tokens,
        ...Object.entries(tokens).map(([content, id]) => added(content, id)),
      ],
    },
    tokenizerConfig: { ...tokenizerConfig, ...config },
    chatTemplate,
  });

/** A SentencePiece-like tokenizer, as Llama 2's: a space before the text, words by `▁`, bytes for the rest. */
export const metaspace = (): Tokenizer => {
  const words = ['▁', 'a', 'b', 'c', '▁a', '▁b', 'ab', 'bc', '▁ab'];
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const vocab = Object.fromEntries(
    ['<unk>', '<s>', '</s>', ...bytes, ...words].map((token, id) => [token, id]),
  );
  return loadTokenizer({
    tokenizerJson: {
      added_tokens: [added('<unk>', 0), added('<s>', 1), added('</s>', 2)],
      normalizer: null,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [],
        special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
      },
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        fuse_unk: true,
        byte_fallback: true,
        vocab,
        merges: ['▁ a', '▁ b', 'a b', 'b c', '▁a b'],
      },
    },
    tokenizerConfig: { bos_token: '<s>', eos_token: '</s>', unk_token: { content: '<unk>' } },
  });
};
