import { Runtime } from '@graftjs/compiler';
import { loadTokenizer, readRecords, tokenizeSeq2Seq } from '@graftjs/data';
import { Generator } from '@graftjs/generate';
import { newModel, seq2seqLossSum, shiftRight, t5 } from '@graftjs/models';
import { AdamW } from '@graftjs/optim';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LossSum, Trainer } from './index.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const lines = [
  { prompt: 'grass', completion: 'green' },
  { prompt: 'the sky by day', completion: 'blue and wide' },
  { prompt: 'the sky by night', completion: 'black' },
  { prompt: 'snow', completion: 'white and cold' },
];
const words = [
  '<pad>',
  '</s>',
  '<unk>',
  ...new Set(lines.flatMap((line) => Object.values(line).join(' ').split(' '))),
];
const tokenizer = loadTokenizer({
  tokenizerJson: {
    version: '1.0',
    added_tokens: words.slice(0, 3).map((content, id) => ({ id, content, special: true })),
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: null,
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      unk_token: '<unk>',
    },
  },
  tokenizerConfig: { pad_token: '<pad>', eos_token: '</s>', unk_token: '<unk>' },
});

const config = {
  model_type: 't5',
  vocab_size: words.length,
  d_model: 16,
  d_kv: 4,
  d_ff: 32,
  num_layers: 1,
  num_heads: 4,
  dropout_rate: 0,
};

const start = async () => {
  const runtime = new Runtime(gpu);
  const { records, rows } = await readRecords(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const { examples } = tokenizeSeq2Seq(records, tokenizer, { rows, modelVocabSize: words.length });
  const { model } = newModel(config, { architectures: [t5], seed: 3 });
  const parameters = new Map(model.namedParameters());
  const options = {
    runtime,
    parameters,
    optimizer: new AdamW(parameters),
    learningRate: () => 0.03,
    examples,
    collate: { seq2seq: true, buckets: [4, 8], maxLength: 8 },
    batchSize: 4,
    totalSteps: 30,
    clipNorm: 1,
    seed: 5,
    heldOut: examples,
  };
  const lossSum: LossSum = ({ labels, ...inputs }, context) =>
    seq2seqLossSum(
      model.forward({ ...inputs, decoderInputIds: shiftRight(labels, model.config) }, context),
      labels,
    );
  return { runtime, model, options: { ...options, lossSum } };
};

test('an encoder-decoder learns answers from JSONL, and gives them', async () => {
  const { runtime, model, options } = await start();
  const trainer = new Trainer(options);
  const before = await trainer.heldOutLoss();
  const { heldOutLoss, tokens } = await trainer.train();
  expect(heldOutLoss! / before).toBeLessThan(0.05);
  expect(tokens).toBe(30 * 26);
  const generator = new Generator(runtime, model);
  for (const { prompt, completion } of lines) {
    const ids = await generator.generate(tokenizer.encode(prompt), { maxNewTokens: 5 });
    expect(ids.map((id) => tokenizer.idToToken(id)).join(' ')).toBe(completion);
  }
  generator.close();
});

test('a loss that leaves the mask of an encoder’s padding unused is refused', async () => {
  const { model, options } = await start();
  const lossSum: LossSum = ({ labels, inputIds }, context) =>
    seq2seqLossSum(
      model.forward({ inputIds, decoderInputIds: shiftRight(labels, model.config) }, context),
      labels,
    );
  await expect(new Trainer({ ...options, lossSum }).train()).rejects.toThrow(/does not use their keyMask/);
});
