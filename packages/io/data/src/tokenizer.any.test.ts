import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { metaspace, tinyLlama, tokenizerConfig, tokenizerJson } from '../test/tokenizers.ts';
import { ChatTemplateError, TokenizerError, VocabularyError } from './errors.ts';
import { loadTokenizer } from './tokenizer.ts';

describe('loadTokenizer', () => {
  const tokenizer = tinyLlama();

  it('knows its special tokens', () => {
    expect(tokenizer).toMatchObject({
      vocabSize: 2048,
      bosId: 0,
      eosId: 0,
      padId: 1,
      hasChatTemplate: false,
    });
    expect(tokenizer.unkId).toBeUndefined();
    expect(metaspace()).toMatchObject({ bosId: 1, eosId: 2, unkId: 0 });
    expect(metaspace().padId).toBeUndefined();
  });

  it('adds special tokens unless told not to', () => {
    const plain = tokenizer.encode('the people', { addSpecialTokens: false });
    expect([...tokenizer.encode('the people')]).toEqual([0, ...plain]);
  });

  it('decodes what it encoded, for every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        fc.pre(!/<\|(endoftext|pad)\|>/.test(text));
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(text);
        expect(ids.every((id) => id >= 0 && id < tokenizer.vocabSize)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('does not tidy spaces before punctuation', () => {
    const text = "a , b . it 's n't";
    expect(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: true })).toBe(text);
  });

  it('leaves out ids that are not in the vocabulary, as a padded embedding can produce', () => {
    const ids = tokenizer.encode('the', { addSpecialTokens: false });
    expect(tokenizer.decode([...ids, 2048, 5000])).toBe('the');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([9999])).toBe('');
  });

  it('refuses a model that embeds fewer tokens', () => {
    expect(() => loadTokenizer({ tokenizerJson, tokenizerConfig, modelVocabSize: 2048 })).not.toThrow();
    const load = () => loadTokenizer({ tokenizerJson, tokenizerConfig, modelVocabSize: 2000 });
    expect(load).toThrow(VocabularyError);
    expect(load).toThrow(/go up to 2047.*embeds only 2000/);
  });

  it.each([
    ['null', null],
    ['an array', []],
    ['no model', {}],
    ['an unknown model', { ...tokenizerJson, model: { type: 'Magic' } }],
  ])('refuses tokenizer.json that is %s', (_, json) => {
    expect(() => loadTokenizer({ tokenizerJson: json, tokenizerConfig })).toThrow(TokenizerError);
  });

  it('says when there is no chat template', () => {
    const render = () => tokenizer.applyChatTemplate([{ role: 'user', content: 'Hi' }]);
    expect(render).toThrow(ChatTemplateError);
    expect(render).toThrow(/no chat template/);
  });

  it('takes the template named default from a list', () => {
    const chat_template = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: '{{ messages[0].content }}' },
    ];
    const loaded = loadTokenizer({ tokenizerJson, tokenizerConfig: { ...tokenizerConfig, chat_template } });
    expect(loaded.applyChatTemplate([{ role: 'user', content: 'Hi' }])).toBe('Hi');
  });
});
