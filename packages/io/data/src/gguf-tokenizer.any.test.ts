import { describe, expect, it } from 'vitest';
import gpt2 from '../test/fixtures/gguf/gpt-2.json' with { type: 'json' };
import llama from '../test/fixtures/gguf/llama.json' with { type: 'json' };
import llama3 from '../test/fixtures/gguf/llama-bpe.json' with { type: 'json' };
import qwen2 from '../test/fixtures/gguf/qwen2.json' with { type: 'json' };
import smollm from '../test/fixtures/gguf/smollm.json' with { type: 'json' };
import tekken from '../test/fixtures/gguf/tekken.json' with { type: 'json' };
import { ChatTemplateError, TokenizerError } from './errors.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { loadTokenizer, type Tokenizer } from './tokenizer.ts';

/** JSON has no typed arrays; a GGUF file has. */
const metadataOf = (fixture: { readonly metadata: object }, change: Record<string, unknown> = {}) => {
  const metadata = new Map<string, unknown>(Object.entries({ ...fixture.metadata, ...change }));
  for (const [key, Numbers] of [
    ['tokenizer.ggml.token_type', Int32Array],
    ['tokenizer.ggml.scores', Float32Array],
  ] as const) {
    const value = metadata.get(key);
    if (Array.isArray(value)) metadata.set(key, Numbers.from(value as number[]));
  }
  for (const [key, value] of metadata) if (value === undefined) metadata.delete(key);
  return metadata;
};

const load = (fixture: { readonly metadata: object }, change?: Record<string, unknown>): Tokenizer =>
  loadTokenizer(ggufTokenizer(metadataOf(fixture, change)));

const kinds = { 'gpt-2': gpt2, smollm, 'llama-bpe': llama3, qwen2, tekken, llama };

describe.each(Object.entries(kinds))('%s', (kind, fixture) => {
  const tokenizer = load(fixture);

  it('gives the ids of the library that defines it', () => {
    const different = (fixture.cases as [string, number[]][])
      .map(([text, ids]) => ({ text, ids, ours: [...tokenizer.encode(text)] }))
      .filter(({ ids, ours }) => ids.length !== ours.length || ids.some((id, i) => id !== ours[i]));
    expect(different).toEqual([]);
    expect(fixture.cases.length).toBeGreaterThan(190);
  });

  it('decodes what it encoded', () => {
    for (const [text] of fixture.cases as [string, number[]][]) {
      // SentencePiece takes ▁ for a space; @huggingface/tokenizers loses a byte-order mark that stands in bytes.
      if (kind === 'llama' && /[▁\ufeff]/.test(text)) continue;
      if (text.includes('<|') || (kind === 'qwen2' && text !== text.normalize('NFC'))) continue;
      expect(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: true })).toBe(text);
    }
  });

  it('knows its special tokens', () => {
    const { metadata } = fixture as { metadata: Record<string, unknown> };
    expect(tokenizer.bosId).toBe(metadata['tokenizer.ggml.bos_token_id']);
    expect(tokenizer.eosId).toBe(metadata['tokenizer.ggml.eos_token_id']);
    expect(tokenizer.padId).toBe(metadata['tokenizer.ggml.padding_token_id']);
    expect(tokenizer.vocabSize).toBe((metadata['tokenizer.ggml.tokens'] as string[]).length);
    expect(tokenizer.isSpecial(tokenizer.eosId!)).toBe(true);
  });
});

describe('what the file says', () => {
  it('BOS and EOS around a text', () => {
    const add = (bos?: boolean, eos?: boolean) => ({
      'tokenizer.ggml.add_bos_token': bos,
      'tokenizer.ggml.add_eos_token': eos,
    });
    const [inner] = [[...load(gpt2).encode('the nation')]];
    expect([...load(gpt2, add(true)).encode('the nation')]).toEqual([1, ...inner]);
    expect([...load(gpt2, add(true, true)).encode('the nation')]).toEqual([1, ...inner, 2]);
    expect([...load(llama3, add(false)).encode('the nation')].slice(0, 1)).not.toEqual([1]);
    expect([...load(gpt2, add(true)).encode('the nation', { addSpecialTokens: false })]).toEqual(inner);
  });

  it('no space before a text', () => {
    const tokenizer = load(llama, { 'tokenizer.ggml.add_space_prefix': false });
    const [first] = tokenizer.encode('the', { addSpecialTokens: false });
    expect(tokenizer.idToToken(first!)).not.toContain('▁');
    expect(tokenizer.decode(tokenizer.encode(' the'), { skipSpecialTokens: true })).toBe(' the');
  });

  it('user-defined tokens are never cut, and are no special tokens', () => {
    const tokens = [...gpt2.metadata['tokenizer.ggml.tokens'], '<tool>'];
    const types = [...gpt2.metadata['tokenizer.ggml.token_type'], 4];
    const tokenizer = load(gpt2, { 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': types });
    const id = tokens.length - 1;
    expect([...tokenizer.encode('a<tool>b')]).toContain(id);
    expect(tokenizer.decode([id], { skipSpecialTokens: true })).toBe('<tool>');
    expect(tokenizer.isSpecial(id)).toBe(false);
  });

  it('the chat template', () => {
    const messages = [{ role: 'user', content: 'Hi' }];
    expect(load(smollm).applyChatTemplate(messages)).toBe('<|im_start|>user\nHi<|im_end|>\n');
    expect(() => load(llama).applyChatTemplate(messages)).toThrow(ChatTemplateError);
  });

  it('no token by the largest number', () => {
    const id = { 'tokenizer.ggml.padding_token_id': 2 ** 32 - 1 };
    expect(load(gpt2, id).padId).toBeUndefined();
  });
});

describe('what is refused', () => {
  const long = Array.from({ length: 300 }, (_, i) => String.fromCharCode(0x4e00 + i).repeat(1000));
  const types = [...llama.metadata['tokenizer.ggml.token_type'], ...long.map(() => 1)];
  const scores = [...llama.metadata['tokenizer.ggml.scores'], ...long.map(() => 0)];
  it.each<[{ readonly metadata: object }, Record<string, unknown>, RegExp]>([
    [gpt2, { 'tokenizer.ggml.model': 'bert' }, /"bert" is not supported; supported are gpt2 and llama/],
    [gpt2, { 'tokenizer.ggml.model': undefined }, /tokenizer\.ggml\.model is missing/],
    [gpt2, { 'tokenizer.ggml.pre': 'chameleon' }, /"chameleon" is not supported; supported are gpt-2/],
    [gpt2, { 'tokenizer.ggml.pre': 'toString' }, /"toString" is not supported/],
    [gpt2, { 'tokenizer.ggml.pre': undefined }, /convert the model again/],
    [gpt2, { 'tokenizer.ggml.tokens': undefined }, /tokenizer\.ggml\.tokens is missing/],
    [gpt2, { 'tokenizer.ggml.tokens': [1, 2] }, /not a list of texts/],
    [
      gpt2,
      { 'tokenizer.ggml.tokens': ['a', 'b', 'a'], 'tokenizer.ggml.token_type': [1, 1, 1] },
      /holds "a" twice/,
    ],
    [gpt2, { 'tokenizer.ggml.token_type': [1] }, /one number for each of 701 tokens/],
    [gpt2, { 'tokenizer.ggml.merges': undefined }, /tokenizer\.ggml\.merges is missing/],
    [gpt2, { 'tokenizer.ggml.merges': ['a b c'] }, /"a b c", which is no pair/],
    [gpt2, { 'tokenizer.ggml.bos_token_id': 701 }, /bos_token_id is no token/],
    [gpt2, { 'tokenizer.ggml.add_bos_token': 1 }, /add_bos_token is neither true nor false/],
    [llama, { 'tokenizer.ggml.scores': [0.5] }, /scores does not hold one number for each of 900 tokens/],
    [
      llama,
      {
        'tokenizer.ggml.tokens': [...llama.metadata['tokenizer.ggml.tokens'], ...long],
        'tokenizer.ggml.token_type': types,
        'tokenizer.ggml.scores': scores,
      },
      /too long or too many/,
    ],
  ])('%#', (fixture, change, message) => {
    const attempt = () => ggufTokenizer(metadataOf(fixture, change));
    expect(attempt).toThrow(TokenizerError);
    expect(attempt).toThrow(message);
  });
});
