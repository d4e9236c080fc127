import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { metaspace, tinyLlama } from '../test/tokenizers.ts';
import { chunkText } from './chunk-text.ts';
import { DataError } from './errors.ts';
import { joinDocuments } from './join-documents.ts';

describe('chunkText', () => {
  it('cuts the stream into blocks that follow each other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(99), { minLength: 8, maxLength: 60 }),
        fc.integer({ min: 2, max: 8 }),
        (ids, length) => {
          const dropped = chunkText(ids, length);
          const kept = chunkText(ids, length, { last: 'keep' });
          expect(dropped.flatMap((example) => [...example.ids])).toEqual(
            ids.slice(0, ids.length - (ids.length % length)),
          );
          const lost = ids.length % length === 1 ? 1 : 0;
          expect(kept.flatMap((example) => [...example.ids])).toEqual(ids.slice(0, ids.length - lost));
          for (const example of kept) expect(example.labels).toEqual(example.ids);
        },
      ),
    );
  });

  it('refuses text that fills no block, and blocks with nothing to predict', () => {
    expect(() => chunkText([1, 2, 3], 4)).toThrow(DataError);
    expect(() => chunkText([1, 2, 3], 1)).toThrow(RangeError);
  });
});

describe('joinDocuments', () => {
  it('puts a token that is both BOS and EOS once between texts', () => {
    const tokenizer = tinyLlama();
    const inner = tokenizer.encode('the', { addSpecialTokens: false });
    expect([...joinDocuments(['the', 'the'], tokenizer)]).toEqual([0, ...inner, 0, ...inner, 0]);
  });

  it('puts EOS and BOS between texts where they differ', () => {
    const tokenizer = metaspace();
    const inner = tokenizer.encode('ab', { addSpecialTokens: false });
    expect([...joinDocuments(['ab', 'ab'], tokenizer)]).toEqual([1, ...inner, 2, 1, ...inner, 2]);
  });
});
