import { describe, expect, test } from 'vitest';
import { collate, DataError, DataLoader, loadTokenizer, tokenizeSeq2Seq, VocabularyError } from './index.ts';

const words = ['<pad>', '</s>', '<unk>', 'the', 'colour', 'of', 'grass', 'is', 'green', 'sky', 'blue'];
const tokenizer = loadTokenizer({
  tokenizerJson: {
    version: '1.0',
    added_tokens: words.slice(0, 3).map((content, id) => ({ id, content, special: true })),
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    decoder: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      unk_token: '<unk>',
    },
  },
  tokenizerConfig: { pad_token: '<pad>', eos_token: '</s>', unk_token: '<unk>' },
});
const records = [
  { prompt: 'the colour of grass', completion: 'green' },
  { prompt: 'sky', completion: 'the sky is blue' },
];

describe('tokenizeSeq2Seq', () => {
  test('reads the prompt with its end token, and learns the completion with its own', () => {
    const { examples, report } = tokenizeSeq2Seq(records, tokenizer);
    expect(examples.map(({ ids, labels }) => [[...ids], [...labels]])).toEqual([
      [
        [3, 4, 5, 6, 1],
        [8, 1],
      ],
      [
        [9, 1],
        [3, 9, 7, 10, 1],
      ],
    ]);
    expect(report).toMatchObject({ records: 2, examples: 2, tokens: 14, supervisedTokens: 7, endInEos: 2 });
  });

  test('without EOS where it is not wanted', () => {
    const { examples, report } = tokenizeSeq2Seq(records, tokenizer, { addEos: false });
    expect(examples.map(({ labels }) => [...labels])).toEqual([[8], [3, 9, 7, 10]]);
    expect(report.endInEos).toBe(0);
  });

  test('cuts what is too long: a prompt before its end token, a completion at its end', () => {
    const { examples, report } = tokenizeSeq2Seq(records, tokenizer, { maxLength: 3, maxLabelLength: 2 });
    expect(examples.map(({ ids, labels }) => [[...ids], [...labels]])).toEqual([
      [
        [3, 4, 1],
        [8, 1],
      ],
      [
        [9, 1],
        [3, 9],
      ],
    ]);
    expect(report).toMatchObject({ truncated: 2, endInEos: 1 });
  });

  test('leaves out and counts what is too long, or empty', () => {
    const all = [...records, { prompt: '', completion: 'blue' }, { prompt: 'sky', completion: '' }];
    const { examples, report } = tokenizeSeq2Seq(all, tokenizer, {
      maxLength: 3,
      overLong: 'drop',
      rows: [5, 6, 7, 8],
    });
    expect(examples).toHaveLength(1);
    expect(report).toMatchObject({ droppedOverLong: 1, droppedUnsupervised: 2, droppedRows: [5, 7, 8] });
  });

  test('refuses other records, none, and ids that the model does not have', () => {
    const where = { file: 'a.jsonl', rows: [3, 9] };
    const refused = (list: Parameters<typeof tokenizeSeq2Seq>[0]) => () =>
      tokenizeSeq2Seq(list, tokenizer, where);
    expect(refused([records[0]!, { text: 'grass' }])).toThrow(/a\.jsonl, row 9: .*\{ prompt, completion \}/);
    expect(refused([])).toThrow(DataError);
    expect(refused([{ prompt: '', completion: '' }])).toThrow(/nothing to learn/);
    expect(() => tokenizeSeq2Seq(records, tokenizer, { modelVocabSize: 10 })).toThrow(VocabularyError);
    expect(() => tokenizeSeq2Seq(records, tokenizer, { maxLength: 1 })).toThrow(RangeError);
  });
});

describe('batches of encoder-decoders', () => {
  const { examples } = tokenizeSeq2Seq(records, tokenizer);

  test('pad sources and labels to lengths of their own', () => {
    const batch = collate(examples, { seq2seq: true, padToMultipleOf: 6, padId: 0 });
    expect(batch).toMatchObject({
      batchSize: 2,
      length: 6,
      labelLength: 6,
      supervisedTokens: 7,
      tokens: 14,
    });
    expect([...batch.inputIds]).toEqual([3, 4, 5, 6, 1, 0, 9, 1, 0, 0, 0, 0]);
    expect([...batch.attentionMask]).toEqual([1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0]);
    expect([...batch.labels]).toEqual([8, 1, -100, -100, -100, -100, 3, 9, 7, 10, 1, -100]);
  });

  test('take buckets and limits', () => {
    const [first] = examples;
    expect(collate([first!], { seq2seq: true, buckets: [2, 8] })).toMatchObject({
      length: 8,
      labelLength: 2,
    });
    expect(() => collate(examples, { seq2seq: true, maxLength: 4 })).toThrow(
      /5 tokens, more than maxLength 4/,
    );
    expect(() => collate(examples, { seq2seq: true, maxLabelLength: 4 })).toThrow(
      /5 labels, more than maxLabelLength 4/,
    );
    expect(() => collate([[first!, first!]], { seq2seq: true })).toThrow(/not packed/);
    expect(
      () => new DataLoader(examples, { batchSize: 1, seq2seq: true, packing: true, maxLength: 8 }),
    ).toThrow(/not packed/);
  });

  test('come out of a loader', () => {
    const loader = new DataLoader(examples, { batchSize: 1, seq2seq: true, shuffle: false, epochs: 1 });
    expect([...loader].map(({ length, labelLength }) => [length, labelLength])).toEqual([
      [5, 2],
      [2, 5],
    ]);
  });
});
