/** Classes of texts and answers to them: from a configuration to an adapter and what it says. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testHost } from '../test/host.ts';
import { fail, resultOf, succeed } from '../test/run-cli.ts';
import {
  texts,
  tinyBert,
  tinyDistilBert,
  writeModel,
  writeTinyModel,
  writeTinyT5,
} from '../test/tiny-model.ts';
import { runCli } from './cli.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);

const sorts = { light: ['sun', 'day', 'lights'], dark: ['night', 'deep', 'shadow'] };
const labelled = (count: number): string =>
  Array.from({ length: count }, (_, n) => {
    const label = n % 2 === 0 ? 'light' : 'dark';
    const word = sorts[label][(n >> 1) % 3];
    return JSON.stringify({ text: `${n % 3 === 0 ? 'and ' : ''}there was ${word} upon the waters`, label });
  }).join('\n');
const answers = (count: number): string =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({ prompt: ['the day', 'the night'][n % 2], completion: ['light', 'dark waters'][n % 2] }),
  ).join('\n');

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-tasks-'));
  writeModel(at('bert'), tinyBert);
  writeModel(at('distilbert'), tinyDistilBert);
  writeTinyT5(at('t5'));
  writeTinyModel(at('llama'));
  writeFileSync(at('labelled.jsonl'), labelled(48));
  writeFileSync(at('answers.jsonl'), answers(24));
  writeFileSync(at('texts.jsonl'), texts(24));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A configuration of a few steps. */
const yaml = (output: string, model: string, data: string, more = ''): string => {
  const file = at(`${output}.yaml`);
  writeFileSync(
    file,
    `
model: ${at(model)}
output: ${at(output)}
data: { train: ${at(data)}, heldOut: 0.25, maxLength: 32 }
training: { steps: 40, batchSize: 8, saveEvery: 5, learningRate: 0.01, schedule: constant, evaluateEvery: 20 }
${more}`,
  );
  return file;
};
const bytesOf = (output: string): string =>
  readFileSync(at(output, 'adapter', 'adapter_model.safetensors')).toString('base64');
const adapterConfig = (output: string): Record<string, unknown> =>
  JSON.parse(readFileSync(at(output, 'adapter', 'adapter_config.json'), 'utf8'));

/** The same run, stopped after its seventh step and continued. */
async function stopAndGoOn(config: string, output: string): Promise<void> {
  const host = testHost({
    onOut: (text, self) => {
      if (text.includes('"event":"step","step":7,')) self.interrupt();
    },
  });
  expect(await runCli(['train', config, '--output', at(output), '--json'], host)).toBe(130);
  await succeed('resume', at(output), '--quiet');
}

describe('classes of texts, by BERT', () => {
  let config: string;
  let trained: Record<string, unknown>;
  beforeAll(async () => {
    config = yaml(
      'sorts',
      'bert',
      'labelled.jsonl',
      'task: SEQ_CLS\nmethod: { type: lora, r: 4, targetModules: [query, value] }',
    );
    trained = await resultOf('train', config);
  }, 120_000);

  test('are learnt: loss and share of right answers, by training and by eval', async () => {
    expect(trained.heldOutLossAfter as number).toBeLessThan(0.2 * (trained.heldOutLossBefore as number));
    expect(trained.heldOutAccuracy).toBe(1);
    expect(adapterConfig('sorts')).toMatchObject({ task_type: 'SEQ_CLS' });
    const measured = await resultOf('eval', at('sorts'));
    expect(measured).toMatchObject({ task: 'SEQ_CLS', accuracy: 1, supervisedTokens: 12 });
    expect(measured.loss).toBeCloseTo(trained.heldOutLossAfter as number, 5);
    const all = ['eval', '--model', at('bert'), '--data', at('labelled.jsonl')];
    const whole = await resultOf(...all, '--adapter', at('sorts', 'adapter'), '--max-length', '32');
    expect(whole).toMatchObject({ accuracy: 1, supervisedTokens: 48 });
  });

  test('are told of a text, and by the merged model alike', async () => {
    const text = 'there was night upon the waters';
    const said = await resultOf('predict', at('sorts'), '--text', text);
    expect(said).toMatchObject({ label: 'dark', probabilities: { dark: said.probability } });
    const adapter = ['--model', at('bert'), '--adapter', at('sorts', 'adapter'), '--labels', 'dark,light'];
    expect(await resultOf('predict', ...adapter, '--text', text)).toEqual(said);
    await succeed('merge', ...adapter, '--output', at('sorts-merged'));
    const merged = await resultOf('predict', '--model', at('sorts-merged'), '--text', text);
    expect(merged).toMatchObject({ label: 'dark' });
    expect(merged.probability as number).toBeCloseTo(said.probability as number, 5);
    const found = await resultOf('inspect', at('sorts-merged'));
    expect(found).toMatchObject({ problems: [], supported: true });
    const refused = await fail('predict', '--model', at('bert'), '--text', text);
    expect(refused).toMatchObject({ code: 2, line: expect.stringContaining('has no trained head') });
  });

  test('a run that was stopped goes on to the same adapter, byte for byte', async () => {
    await stopAndGoOn(config, 'sorts-stopped');
    expect(bytesOf('sorts-stopped')).toBe(bytesOf('sorts'));
  });

  test('a plan tells what is trained, and methods what could be', async () => {
    const plan = await resultOf('plan', config);
    const started = readFileSync(at('sorts', 'metrics.jsonl'), 'utf8');
    expect(started).toContain('"evaluation"');
    // two layers, queries and values: r (in + out) each; the head: 2 (32 + 1)
    expect(plan).toMatchObject({ task: 'SEQ_CLS', parameters: { trainable: 2 * 2 * 4 * 64 + 2 * 33 } });
    const all = await resultOf('methods', '--model', at('bert'));
    expect(all.modelType).toBe('bert');
    const ia3 = (all.methods as { name: string; applies: boolean }[]).find(({ name }) => name === 'ia3');
    expect(ia3).toMatchObject({ applies: true });
  });

  test('what stands in front of a text does not stop them', async () => {
    const prompt = yaml(
      'prompted',
      'bert',
      'labelled.jsonl',
      'method: { type: prefix-tuning, numVirtualTokens: 4 }',
    );
    const result = await resultOf('train', prompt);
    expect(result.heldOutLossAfter as number).toBeLessThan(result.heldOutLossBefore as number);
    const said = await resultOf('predict', at('prompted'), '--text', 'there was day upon the waters');
    expect(said.label).toBe('light');
  });
});

test('a layer before the head that has no weights yet is trained and saved, too', {
  timeout: 60_000,
}, async () => {
  await succeed('train', yaml('distil', 'distilbert', 'labelled.jsonl'), '--steps', '2');
  expect(adapterConfig('distil').modules_to_save).toEqual(expect.arrayContaining(['pre_classifier']));
  expect((await resultOf('eval', at('distil'))).accuracy).toBeGreaterThan(0);
});

describe('answers to texts, by T5', () => {
  test('are learnt, told, planned, and a stopped run goes on', { timeout: 180_000 }, async () => {
    const config = yaml('answers', 't5', 'answers.jsonl', 'task: SEQ_2_SEQ_LM\nmethod: { type: lora, r: 8 }');
    const result = await resultOf('train', config, '--steps', '80');
    expect(result.heldOutLossAfter as number).toBeLessThan(0.05 * (result.heldOutLossBefore as number));
    expect(adapterConfig('answers').task_type).toBe('SEQ_2_SEQ_LM');
    const measured = await resultOf('eval', at('answers'));
    expect(measured.loss).toBeCloseTo(result.heldOutLossAfter as number, 5);
    const adapter = ['--model', at('t5'), '--adapter', at('answers', 'adapter')];
    const said = await resultOf('generate', ...adapter, '--prompt', 'the night', '--max-new-tokens', '8');
    expect((said.text as string).trim()).toBe('dark waters');
    const plan = await resultOf('plan', config);
    // of rank 8: three attentions of four layers, two networks of two
    expect(plan).toMatchObject({
      task: 'SEQ_2_SEQ_LM',
      parameters: { trainable: 8 * (3 * 4 * 64 + 2 * 2 * 96) },
    });
    await succeed('train', config, '--output', at('answers-whole'));
    await stopAndGoOn(config, 'answers-stopped');
    expect(bytesOf('answers-stopped')).toBe(bytesOf('answers-whole'));
  });
});

describe('faults are one line that says what to do', () => {
  test.each([
    [
      'task: SEQ_CLS',
      'llama',
      'texts.jsonl',
      /^task is SEQ_CLS: models of type llama have a head for CAUSAL_LM only; bert/,
    ],
    ['task: SEQ_CLSS', 'bert', 'labelled.jsonl', /task is "SEQ_CLSS": it must be CAUSAL_LM, SEQ_CLS or/],
    ['tsk: SEQ_CLS', 'bert', 'labelled.jsonl', /unknown key tsk; did you mean task\?/],
    ['', 'bert', 'texts.jsonl', /expected an object \{"text", "label"\}/],
    ['', 't5', 'texts.jsonl', /an encoder-decoder learns from \{ prompt, completion \}/],
    ['weights: nf', 'llama', 'texts.jsonl', /weights.format is "nf": it must be stored, f32/],
    [
      'weights: { block: 32 }',
      'llama',
      'texts.jsonl',
      /weights.block goes with weights.format nf4, fp4 only; it is stored/,
    ],
    ['weights: { blok: 32 }', 'llama', 'texts.jsonl', /unknown key weights.blok; did you mean block\?/],
  ])('%s of %s with %s', async (more, model, data, message) => {
    const { code, line } = await fail('train', yaml('refused', model, data, more));
    expect(line).toMatch(message);
    expect(code).toBe(message.source.startsWith('expected') || message.source.startsWith('an enc') ? 3 : 2);
  });

  test.each([
    [['--packing', 'true'], 'bert', 'data.packing does not go with task SEQ_CLS'],
    [['--labels', 'day,night'], 'bert', '"light" is none of the classes day, night'],
    [['--labels', 'day,night'], 'llama', 'data.labels goes with task SEQ_CLS only'],
    [['--max-target-length', '4'], 'bert', 'data.maxTargetLength goes with task SEQ_2_SEQ_LM only'],
    [['--method', 'llama-adapter'], 'bert', 'method: '],
  ])('%j of %s', async (flags, model, message) => {
    const data = model === 'llama' ? 'texts.jsonl' : 'labelled.jsonl';
    expect((await fail('train', yaml('refused', model, data), ...flags)).line).toContain(message);
  });
});

describe('a base with quantized weights', () => {
  test('is trained, planned and measured, with factors in 8 bits or not', { timeout: 180_000 }, async () => {
    const config = yaml('quantized', 'llama', 'texts.jsonl', 'weights: nf4\nmethod: { type: lora, r: 4 }');
    const plan = async (...flags: string[]): Promise<number> =>
      ((await resultOf('plan', config, ...flags)).bytes as { base: number }).base;
    const [nested, plain, floats] = [
      await plan(),
      await plan('--double-quantization', 'false'),
      await plan('--weights', 'stored'),
    ];
    // queries 32 × 32, keys and values 16 × 32 each, outputs 32 × 32, three of 64 × 32: 4 bits and a factor for 64 elements
    const elements = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32;
    expect(floats - plain).toBe(4 * elements - elements / 2 - 4 * (elements / 64));
    expect(nested).not.toBe(plain);
    const trained = await resultOf('train', config, '--save-every', '20');
    expect(trained.heldOutLossAfter as number).toBeLessThan(trained.heldOutLossBefore as number);
    const measured = await resultOf('eval', at('quantized'));
    expect(measured.loss).toBeCloseTo(trained.heldOutLossAfter as number, 5);
    const unquantized = await resultOf('eval', at('quantized'), '--weights', 'stored');
    expect(unquantized.loss).not.toBeCloseTo(trained.heldOutLossAfter as number, 5);
  });
});
