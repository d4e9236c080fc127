import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { metaspace, tinyLlama } from '../test/tokenizers.ts';
import { encodeSegments } from './encode-segments.ts';
import { DataError, VocabularyError } from './errors.ts';
import { type Example, ignoreLabel, supervisedTokens } from './example.ts';
import { tokenizeExamples, tokenizeRecords } from './tokenize-examples.ts';

const tokenizer = tinyLlama();
const eos = tokenizer.eosId!;
const learnt = ({ labels }: Example): number[] => [...labels].filter((label) => label !== ignoreLabel);
const text = fc.string({ unit: 'grapheme' }).filter((s) => !s.includes('<|'));

describe('text', () => {
  it('learns every token, between BOS and EOS', () => {
    const [example] = tokenizeExamples([{ text: 'the people' }], tokenizer);
    const inner = tokenizer.encode('the people', { addSpecialTokens: false });
    expect([...example!.ids]).toEqual([tokenizer.bosId, ...inner, eos]);
    expect(example!.labels).toEqual(example!.ids);
  });

  it('does not double an EOS that the text ends in', () => {
    const [example] = tokenizeExamples([{ text: 'the people<|endoftext|>' }], tokenizer);
    expect([...example!.ids].filter((id) => id === eos)).toHaveLength(2);
  });

  it('can leave EOS out', () => {
    const [example] = tokenizeExamples([{ text: 'the people' }], tokenizer, { addEos: false });
    expect(example!.ids.at(-1)).not.toBe(eos);
  });

  it('splits what is too long into windows that follow each other', () => {
    const long = 'The people of the United States. '.repeat(20);
    const whole = tokenizeExamples([{ text: long }], tokenizer)[0]!.ids;
    const parts = tokenizeExamples([{ text: long }], tokenizer, { maxLength: 16, overLong: 'split' });
    expect(parts.flatMap(({ ids }) => [...ids])).toEqual([...whole]);
    expect(parts.slice(0, -1).every(({ ids }) => ids.length === 16)).toBe(true);
  });
});

describe('prompt and completion', () => {
  it('learns the completion and one EOS', () => {
    fc.assert(
      fc.property(text, text, (prompt, completion) => {
        const [example] = tokenizeExamples([{ prompt, completion }], tokenizer);
        expect(learnt(example!).at(-1)).toBe(eos);
        expect(learnt(example!).filter((id) => id === eos)).toHaveLength(1);
        expect(tokenizer.decode(learnt(example!), { skipSpecialTokens: true })).toBe(completion);
        expect(tokenizer.decode(example!.ids, { skipSpecialTokens: true })).toBe(prompt + completion);
        const prompted = tokenizer.encode(prompt);
        // What is not learnt is exactly what generation will be given.
        expect([...example!.ids.subarray(0, prompted.length)]).toEqual([...prompted]);
        expect(example!.labels.findIndex((label) => label !== ignoreLabel)).toBe(prompted.length);
      }),
      { numRuns: 300 },
    );
  });

  it('learns everything where prompts are not masked', () => {
    const [example] = tokenizeExamples([{ prompt: 'a', completion: 'b' }], tokenizer, { maskPrompt: false });
    expect(example!.labels).toEqual(example!.ids);
  });

  it('puts no space into a word where the tokenizer would begin each piece with one', () => {
    const sentencePiece = metaspace();
    const [example] = tokenizeExamples([{ prompt: 'a', completion: 'b' }], sentencePiece);
    const whole = sentencePiece.encode('ab');
    expect([...example!.ids]).toEqual([...whole, sentencePiece.eosId]);
    // "▁ab" is one token across the boundary: it ends in the completion, so it is learnt.
    expect(learnt(example!)).toEqual([whole[1], sentencePiece.eosId]);
  });
});

describe('encodeSegments', () => {
  it('keeps the text and gives each token to one segment', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ text, supervised: fc.boolean() }), { maxLength: 6 }),
        fc.constantFrom(tokenizer, metaspace()),
        (segments, chosen) => {
          const { ids, supervised } = encodeSegments(chosen, segments);
          const joined = segments.map((segment) => segment.text).join('');
          expect(supervised).toHaveLength(ids.length);
          const whole = chosen.encode(joined, { addSpecialTokens: false });
          expect(chosen.decode(ids)).toBe(chosen.decode(whole));
          if (segments.every((segment) => segment.supervised))
            expect(supervised.every((s) => s === 1)).toBe(true);
          if (segments.every((segment) => !segment.supervised))
            expect(supervised.every((s) => s === 0)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('lengths and what is left out', () => {
  const long = 'word '.repeat(100);

  it('cuts the end by default, and counts it', () => {
    const { examples, report } = tokenizeRecords([{ text: long }, { text: 'short' }], tokenizer, {
      maxLength: 8,
    });
    expect(examples.map(({ ids }) => ids.length)).toEqual([8, expect.any(Number)]);
    expect(report).toMatchObject({ records: 2, examples: 2, truncated: 1, endInEos: 1 });
  });

  it('drops instead where asked to', () => {
    const { report } = tokenizeRecords([{ text: long }, { text: 'short' }], tokenizer, {
      maxLength: 8,
      overLong: 'drop',
    });
    expect(report).toMatchObject({ examples: 1, droppedOverLong: 1, droppedRows: [1] });
  });

  it('drops what has nothing to learn after truncation', () => {
    const records = [
      { prompt: long, completion: 'lost' },
      { prompt: 'a', completion: 'kept' },
    ];
    const { report } = tokenizeRecords(records, tokenizer, { maxLength: 16, rows: [7, 8] });
    expect(report).toMatchObject({ examples: 1, truncated: 1, droppedUnsupervised: 1, droppedRows: [7] });
  });

  it('fails where nothing is left, with rows and reason', () => {
    const records = [
      { prompt: long, completion: 'lost' },
      { prompt: long, completion: 'lost too' },
    ];
    const tokenize = () => tokenizeRecords(records, tokenizer, { maxLength: 16, file: 'data.jsonl' });
    expect(tokenize).toThrow(DataError);
    expect(tokenize).toThrow(
      /^data\.jsonl, rows 1 and 2: nothing to learn in any of the 2 records.*raise maxLength/,
    );
    expect(() => tokenizeRecords([], tokenizer)).toThrow(/empty/);
    expect(() => tokenizeRecords([{ text: '' }], tokenizer)).toThrow(/nothing to learn/);
  });

  it('refuses ids that the model does not embed', () => {
    const tokenize = () => tokenizeRecords([{ text: 'the people' }], tokenizer, { modelVocabSize: 300 });
    expect(tokenize).toThrow(VocabularyError);
  });

  it('refuses a maxLength that leaves nothing to predict', () => {
    for (const maxLength of [0, 1, Number.NaN])
      expect(() => tokenizeRecords([{ text: 'a' }], tokenizer, { maxLength })).toThrow(RangeError);
  });
});

describe('supervisedTokens', () => {
  it('counts what a causal model predicts: all learnt labels but the first', () => {
    expect(supervisedTokens([5, 6, ignoreLabel, 7])).toBe(2);
    expect(supervisedTokens([5])).toBe(0);
    expect(supervisedTokens([])).toBe(0);
  });

  it('counts the first, too, where virtual tokens stand in front of it', () => {
    expect(supervisedTokens([5, 6, ignoreLabel, 7], true)).toBe(3);
    expect(supervisedTokens([ignoreLabel, 6], true)).toBe(1);
    expect(supervisedTokens([], true)).toBe(0);
  });
});
