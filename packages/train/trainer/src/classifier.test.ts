import { Runtime } from '@graftjs/compiler';
import { DataLoader, loadTokenizer, readLabelledTexts, tokenizeLabelledTexts } from '@graftjs/data';
import { lora, loraConfig } from '@graftjs/lora';
import { bert, classifierLossSum, correctSum, newModel } from '@graftjs/models';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { cast, equal, narrow, not, type Tensor } from '@graftjs/tensor';
import { openGpu } from '@graftjs/webgpu';
import { expect, test } from 'vitest';
import { Evaluator, type LossSum, Trainer } from './index.ts';

const words = [
  '[PAD]',
  '[CLS]',
  '[SEP]',
  '[UNK]',
  'good',
  'fine',
  'bad',
  'poor',
  'film',
  'food',
  'the',
  'is',
];
const special = (content: string) => ({
  id: words.indexOf(content),
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});
const tokenizerJson = {
  version: '1.0',
  added_tokens: ['[PAD]', '[CLS]', '[SEP]', '[UNK]'].map(special),
  normalizer: null,
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: { type: 'BertProcessing', sep: ['[SEP]', 2], cls: ['[CLS]', 1] },
  decoder: null,
  model: { type: 'WordLevel', vocab: Object.fromEntries(words.map((w, i) => [w, i])), unk_token: '[UNK]' },
};

test('a classifier of texts learns from JSON Lines, with LoRA and a head of its own', async () => {
  const row = (i: number): string => {
    const isGood = i % 2 === 0;
    const said = (isGood ? ['good', 'fine'] : ['bad', 'poor'])[(i >> 1) % 2]!;
    const filler = i % 3 === 0 ? 'the ' : '';
    const text = `${filler}${i % 4 < 2 ? 'film' : 'food'} is ${said}`;
    return JSON.stringify({ text, label: isGood ? 'praise' : 'blame' });
  };
  const file = Array.from({ length: 24 }, (_, i) => row(i)).join('\n');
  const labels = ['blame', 'praise'];
  const tokenizer = loadTokenizer({ tokenizerJson });
  const records = await readLabelledTexts(file, { file: 'train.jsonl' });
  const examples = tokenizeLabelledTexts(records, tokenizer, { labels, maxLength: 8 });
  expect([...examples[0]!.ids]).toEqual([1, 10, 8, 11, 4, 2]);
  expect([...examples[0]!.labels]).toEqual([1, -100, -100, -100, -100, -100]);
  expect(() => tokenizeLabelledTexts([{ text: 'x', label: 'none' }], tokenizer, { labels })).toThrow('blame');
  expect([...tokenizeLabelledTexts(records, tokenizer, { labels, maxLength: 3 })[0]!.ids]).toEqual([
    1, 10, 2,
  ]);
  await expect(readLabelledTexts('{"text": "x"}')).rejects.toThrow('row 1');

  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const json = {
    model_type: 'bert',
    vocab_size: words.length,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 8,
    initializer_range: 0.3,
    id2label: { 0: 'blame', 1: 'praise' },
  };
  const { model } = newModel(json, { architectures: [bert.sequenceClassifier], seed: 2 });
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  await peft.addAdapter('default', loraConfig({ taskType: 'SEQ_CLS', r: 4 }));
  const parameters = peft.trainableParameters();
  expect([...parameters.keys()].filter((name) => name.includes('modules_to_save'))).toHaveLength(2);
  const classOf = (ofTokens: Tensor): Tensor => narrow(ofTokens, 1, 0, 1);
  const keyMaskOf = (inputIds: Tensor): Tensor => cast(not(equal(inputIds, 0)), 'i32');
  const logitsOf = (inputIds: Tensor, context: Parameters<LossSum>[1]): Tensor =>
    model.forward({ inputIds, keyMask: keyMaskOf(inputIds) }, context);
  const collate = { padToMultipleOf: 8, learnsFirst: true };
  const trainer = new Trainer({
    runtime,
    lossSum: ({ inputIds, labels: ofTokens }, context) =>
      classifierLossSum(model.config, logitsOf(inputIds, context), classOf(ofTokens)),
    parameters,
    optimizer: new AdamW(parameters),
    learningRate: () => 0.02,
    examples,
    collate,
    batchSize: 8,
    totalSteps: 120,
  });
  const accuracy = async (): Promise<number> => {
    const evaluator = new Evaluator(runtime, ({ inputIds, labels: ofTokens }, context) =>
      correctSum(logitsOf(inputIds, context), classOf(ofTokens)),
    );
    // The mean over texts of what is counted.
    return (await evaluator.evaluate(new DataLoader(examples, { ...collate, batchSize: 8, epochs: 1 }))).loss;
  };
  const before = await accuracy();
  await trainer.train();
  const after = await accuracy();
  expect(after - before, `from ${before} to ${after}`).toBeGreaterThan(0.25);
  gpu.close();
});
