import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type JsonObject,
  type MemoryFiles,
  memoryFolder,
  openSafetensors,
  type Weights,
} from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { Context } from '@graftjs/nn';
import { add, gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Architecture,
  classifierLossSum,
  type EncoderModel,
  encoders,
  labelLossSum,
  loadModel,
  maskedLMs,
  questionAnswerers,
  saveModel,
  sequenceClassifiers,
  spanLossSum,
  tokenClassifiers,
} from '../index.ts';

const fixtures = fileURLToPath(new URL('../../../../../tools/oracle/fixtures/encoders/', import.meta.url));
const bytesOf = (base: string, name: string): Uint8Array =>
  new Uint8Array(readFileSync(`${fixtures}${base}/${name}`));
const jsonOf = (bytes: Uint8Array): JsonObject => JSON.parse(new TextDecoder().decode(bytes));
const heads: Readonly<Record<string, readonly Architecture<EncoderModel>[]>> = {
  encoder: encoders,
  'masked-lm': maskedLMs,
  sequence: sequenceClassifiers,
  tokens: tokenClassifiers,
  answers: questionAnswerers,
};
const bases = [
  'bert-encoder',
  'bert-masked-lm',
  'bert-masked-lm-untied',
  'bert-sequence',
  'bert-sequence-multi-label',
  'bert-sequence-regression',
  'bert-tokens',
  'bert-answers',
  'roberta-encoder',
  'roberta-masked-lm',
  'roberta-sequence',
  'roberta-tokens',
  'roberta-answers',
  'xlm-roberta-sequence',
  'distilbert-encoder',
  'distilbert-masked-lm',
  'distilbert-sequence',
  'distilbert-tokens',
  'distilbert-answers',
];
const headOf = (base: string): string => Object.keys(heads).find((head) => base.includes(`-${head}`))!;

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

/** max |a - b| / max(|b|, rms(b)), over the elements that count. */
function relative(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  counts: (i: number) => boolean = () => true,
): number {
  expect(a.length).toBe(b.length);
  const chosen = Array.from(b, (_, i) => i).filter(counts);
  const rms = Math.sqrt(chosen.reduce((sum, i) => sum + b[i]! ** 2, 0) / chosen.length);
  return chosen.reduce((worst, i) => {
    const error = Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(b[i]!), rms);
    return Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }, 0);
}

const ints = async (w: Weights, name: string): Promise<Variable> =>
  new Variable(w.tensors.get(name)!.shape, Int32Array.from(await w.readFloat32(name)));

const open = async (base: string) => {
  const folder = nodeFolder(`${fixtures}${base}`);
  const { model } = await loadModel(folder, { architectures: heads[headOf(base)]! });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const inputs = {
    inputIds: await ints(expected, 'input_ids'),
    keyMask: await ints(expected, 'attention_mask'),
    ...(expected.tensors.has('token_type_ids')
      ? { tokenTypeIds: await ints(expected, 'token_type_ids') }
      : {}),
  };
  return { folder, model, expected, inputs, mask: await expected.readFloat32('attention_mask') };
};

/** The mean loss that transformers takes of a fixture's labels. */
async function lossOf(base: string, model: EncoderModel, logits: Tensor, expected: Weights): Promise<Tensor> {
  const head = headOf(base);
  if (head === 'answers') {
    const none = new Variable([3], new Int32Array(3).fill(-100));
    // A mean of each end's own: three answers begin, and two end, within their texts.
    const starts = spanLossSum(logits, await ints(expected, 'start_positions'), none);
    const ends = spanLossSum(logits, none, await ints(expected, 'end_positions'));
    return add(mul(starts, 1 / 3), mul(ends, 1 / 2));
  }
  const values = await expected.readFloat32('labels');
  const learnt = values.filter((label) => label !== -100).length;
  const { shape } = expected.tensors.get('labels')!;
  if (head !== 'sequence') return mul(labelLossSum(logits, await ints(expected, 'labels')), 1 / learnt);
  const targets =
    values.every(Number.isInteger) && shape.length === 1
      ? await ints(expected, 'labels')
      : new Variable(logits.shape, values as Float32Array<ArrayBuffer>);
  return mul(classifierLossSum(model.config, logits, targets), 1 / learnt);
}

describe.each(bases)('%s', (base) => {
  test('logits, loss and the gradient of every weight are those of transformers', async () => {
    const { model, expected, inputs, mask } = await open(base);
    const logits = model.forward(inputs, new Context());
    const perToken = logits.size / mask.length;
    const isToken = (i: number): boolean => logits.rank === 2 || mask[Math.floor(i / perToken)] === 1;
    const names = [...expected.tensors.keys()].flatMap((n) => (n.startsWith('grad.') ? [n.slice(5)] : []));
    const parameters = new Map(model.namedParameters({ duplicates: true }));
    const wanted = await expected.readFloat32('logits');
    if (headOf(base) === 'encoder') {
      const [got] = await runtime.evaluate([logits]);
      expect(relative(got!, wanted, isToken)).toBeLessThan(1e-4);
      return;
    }
    const unused = [...model.namedParameters()].map(([name]) => name).filter((name) => !names.includes(name));
    expect(unused).toEqual(base === 'bert-masked-lm-untied' ? ['cls.predictions.bias'] : []);
    const loss = await lossOf(base, model, logits, expected);
    const slopes = gradients(
      loss,
      names.map((name) => parameters.get(name)!),
    );
    const got = await runtime.evaluate([logits, loss, ...slopes]);
    expect(relative(got[0]!, wanted, isToken)).toBeLessThan(1e-4);
    expect(relative(got[1]!, await expected.readFloat32('loss'))).toBeLessThan(1e-5);
    const largest = Math.max(
      ...slopes.map((_, k) => Math.max(...(got[2 + k] as Float32Array).map(Math.abs))),
    );
    for (const [k, name] of names.entries()) {
      const slope = await expected.readFloat32(`grad.${name}`);
      // What softmax does not see, the bias of keys, has a gradient of rounding alone.
      if (slope.every((x) => Math.abs(x) < 1e-6 * largest))
        expect(Math.max(...(got[2 + k] as Float32Array).map(Math.abs)), name).toBeLessThan(1e-6 * largest);
      else expect(relative(got[2 + k]!, slope), name).toBeLessThan(1e-4);
    }
  });

  test('saved, its files are those of transformers', async () => {
    const files: MemoryFiles = new Map();
    const architectures = heads[headOf(base)]!;
    await saveModel(
      runtime,
      memoryFolder(files),
      await loadModel(nodeFolder(`${fixtures}${base}`), { architectures }),
    );
    const [ours, theirs] = [files.get('model.safetensors')!, bytesOf(base, 'model.safetensors')];
    expect(Buffer.compare(ours, theirs)).toBe(0);
    expect(jsonOf(files.get('config.json')!)).toEqual(jsonOf(bytesOf(base, 'config.json')));
  });
});
