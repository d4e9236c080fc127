/** Initial weights against Hugging Face PEFT: values, logits, a few steps of training, and what is saved. */
import { fileURLToPath } from 'node:url';
import {
  type JsonObject,
  memoryFolder,
  openSafetensors,
  readAdapter,
  type Weights,
} from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import {
  combineAdapters,
  hotSwap,
  type LoraAdapter,
  lora,
  loraWith,
  mixAdapters,
  mixedIds,
} from '@graftjs/lora';
import { architectures, type CausalLM, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { ConfigError, PeftModel } from '@graftjs/peft';
import { gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { deviation } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { initializations } from './initializations.ts';
import { initializeLoraWeights } from './initialize-lora-weights.ts';
import type { TextBatch } from './layer-inputs.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const tuner = loraWith(initializations);

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const signless = (values: ArrayLike<number>): number[] => Array.from(values, Math.abs);

async function batchOf(expected: Weights, i: number): Promise<TextBatch> {
  const read = async (name: string) => Int32Array.from(await expected.readFloat32(`batch.${i}.${name}`));
  const [batchSize, length] = expected.tensors.get(`batch.${i}.input_ids`)!.shape as [number, number];
  return {
    inputIds: await read('input_ids'),
    attentionMask: await read('attention_mask'),
    labels: await read('labels'),
    batchSize,
    length,
  };
}

async function open(name: string) {
  const folder = fixtures.folder('lora-starts').folder(name);
  const { base, config, ...training } = JSON.parse(await folder.readText('case.json')) as {
    base: string;
    config: JsonObject;
    steps: number;
    learning_rate: number;
  };
  const { model } = await loadModel(fixtures.folder(base), { architectures });
  const peft = new PeftModel(model, { runtime, tuners: [tuner] });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const batches = [await batchOf(expected, 0), await batchOf(expected, 1)];
  return { folder, base, config, training, peft, expected, batches };
}

type Case = Awaited<ReturnType<typeof open>>;

async function start({ config, peft, batches }: Case): Promise<LoraAdapter> {
  await peft.addAdapter('default', tuner.parseConfig(config).config);
  if (['corda', 'lora_ga', 'eva'].includes(String(config.init_lora_weights)))
    await initializeLoraWeights(peft, { batches });
  return peft.attached('default') as LoraAdapter;
}

const forward = (model: CausalLM, { inputIds, batchSize, length }: TextBatch): Tensor =>
  model.forward({ inputIds: new Variable([batchSize, length], inputIds.slice()) }, new Context());

const logitsOf = async (model: CausalLM, batch: TextBatch): Promise<ArrayLike<number>> =>
  (await runtime.evaluate([forward(model, batch)]))[0]!;

async function expectLogits({ peft, expected, batches: [batch] }: Case, key: string, within: number) {
  const wanted = await expected.readFloat32(key);
  const got = await logitsOf(peft.model, batch!);
  expect(
    deviation(got, wanted, (i) => batch!.attentionMask[Math.floor(i / 96)] === 1),
    key,
  ).toBeLessThan(within);
}

/** Signs of vectors that a decomposition leaves open, as PEFT's came out: where A and B take different ones, they matter. */
async function takeSigns(adapter: LoraAdapter, expected: Weights): Promise<void> {
  for (const layer of adapter.layers) {
    const [ours, oursB] = [await runtime.read(layer.a), await runtime.read(layer.b)];
    const [theirs, theirsB] = [
      await expected.readFloat32(`a.${layer.path}`),
      await expected.readFloat32(`b.${layer.path}`),
    ];
    const as = (mine: ArrayLike<number>, other: ArrayLike<number>) =>
      Float32Array.from(mine, (x, i) => Math.abs(x) * Math.sign(other[i]!));
    layer.startFrom!({ a: as(ours, theirs), b: as(oursB, theirsB), subtracted: true });
  }
}

async function train({ peft, training, batches: [batch] }: Case): Promise<void> {
  const { batchSize, length, labels } = batch!;
  const trained = peft.trainableParameters();
  const learnt = labels.filter((label, i) => label !== -100 && i % length > 0).length;
  const given = new Variable([batchSize, length], labels.slice());
  const loss = mul(tokenLossSum(forward(peft.model, batch!), given), 1 / learnt);
  const optimizer = new AdamW(trained, { lr: training.learning_rate });
  const program = await runtime.compile(optimizer.update(gradients(loss, [...trained.values()])));
  for (let step = 0; step < training.steps; step++) {
    optimizer.beginStep();
    await program.run();
  }
}

const cases = [
  'pissa',
  'pissa-iterations',
  'pissa-patterns',
  'pissa-rslora',
  'pissa-gpt2',
  'olora',
  'mica',
  'corda-ipm',
  'corda-kpm',
  'lora-ga-stable',
  'lora-ga-weight',
  'lora-ga-descent',
  'eva',
  'eva-whiten',
];

describe.each(cases)('%s', (name) => {
  test('starts, trains and is saved as in PEFT', async () => {
    const opened = await open(name);
    const { peft, expected, config, folder } = opened;
    await expectLogits(opened, 'base_logits', 1e-4);
    const adapter = await start(opened);
    const paths = [...expected.tensors.keys()]
      .filter((key) => key.startsWith('a.'))
      .map((key) => key.slice(2));
    expect([...adapter.targets].sort()).toEqual(paths.sort());
    for (const { path, a, b } of adapter.layers) {
      const [ofA, ofB] = [`a.${path}`, `b.${path}`];
      expect(
        deviation(signless(await runtime.read(a)), signless(await expected.readFloat32(ofA))),
        ofA,
      ).toBeLessThan(1e-3);
      expect(
        deviation(signless(await runtime.read(b)), signless(await expected.readFloat32(ofB))),
        ofB,
      ).toBeLessThan(1e-3);
    }
    if (name.startsWith('lora-ga')) await takeSigns(adapter, expected);
    await expectLogits(opened, 'logits', 1e-4);
    await train(opened);
    await expectLogits(opened, 'after.logits', 1e-3);

    const files = memoryFolder(new Map(Object.entries(await peft.encodeAdapter())));
    const saved = (await readAdapter(files)).config;
    const there = (await folder.list()).find((entry) => /^(converted|saved)/.test(entry))?.split('/')[0];
    if (there) {
      const wanted = JSON.parse(await folder.folder(there).readText('adapter_config.json')) as JsonObject;
      for (const key of [
        'r',
        'init_lora_weights',
        'rank_pattern',
        'use_rslora',
        'eva_config',
        'corda_config',
      ])
        if (there === 'saved' || !key.endsWith('config')) expect(saved[key], key).toEqual(wanted[key]);
      expect(saved.lora_alpha).toBeCloseTo(wanted.lora_alpha as number, 6);
      for (const [path, alpha] of Object.entries(wanted.alpha_pattern as Record<string, number>))
        expect((saved.alpha_pattern as Record<string, number>)[path]).toBeCloseTo(alpha, 6);
    }
    if (config.init_lora_weights !== 'mica')
      expect(saved.init_lora_weights).toBe(there === 'saved' ? 'eva' : true);
    // On a base of its own, by LoRA without what makes initial weights: the file says it all.
    const { model } = await loadModel(fixtures.folder(opened.base), { architectures });
    const plain = new PeftModel(model, { runtime, tuners: [lora] });
    await plain.loadAdapter(files);
    await expectLogits({ ...opened, peft: plain }, 'after.logits', 1e-3);
    await peft.merge({ safe: true });
    await expectLogits(opened, 'after.logits', 1e-3);
    await peft.unmerge();
    await expectLogits(opened, 'after.logits', 1e-3);
    peft.disableAdapters();
    await expectLogits(opened, 'base_logits', 1e-4);
  });
});

test('an adapter as PEFT saves it without conversion takes its start from the base again', async () => {
  const opened = await open('pissa');
  await opened.peft.loadAdapter(opened.folder.folder('adapter'));
  await expectLogits(opened, 'after.logits', 1e-3);
});

describe.each(['loftq', 'loftq-iterations'])('%s', (name) => {
  test('rounds the base, starts, trains and is saved as in PEFT', async () => {
    const opened = await open(name);
    const { peft, expected, folder } = opened;
    const before = await logitsOf(peft.model, opened.batches[0]!);
    const adapter = await start(opened);
    for (const { path, a, b } of adapter.layers)
      for (const [key, parameter] of [
        [`a.${path}`, a],
        [`b.${path}`, b],
      ] as const)
        expect(
          deviation(signless(await runtime.read(parameter)), signless(await expected.readFloat32(key))),
          key,
        ).toBeLessThan(1e-3);
    await expectLogits(opened, 'logits', 1e-4);
    await train(opened);
    await expectLogits(opened, 'after.logits', 1e-3);
    const trained = await logitsOf(peft.model, opened.batches[0]!);

    const files = memoryFolder(new Map(Object.entries(await peft.encodeAdapter())));
    const theirs = await readAdapter(folder.folder('adapter'));
    const ours = await readAdapter(files);
    expect(ours.config).toMatchObject({
      init_lora_weights: 'loftq',
      loftq_config: theirs.config.loftq_config,
    });
    peft.disableAdapters();
    expect(await logitsOf(peft.model, opened.batches[0]!)).toEqual(before);
    peft.enableAdapters();
    expect(await logitsOf(peft.model, opened.batches[0]!)).toEqual(trained);
    expect(await thrown(() => peft.merge())).toMatchObject({ name: 'MergeError' });
    await peft.merge({ dequantize: true });
    await expectLogits(opened, 'after.logits', 1e-3);
    await peft.unmerge();
    expect(await logitsOf(peft.model, opened.batches[0]!)).toEqual(trained);
    peft.deleteAdapter('default');
    expect(await logitsOf(peft.model, opened.batches[0]!)).toEqual(before);

    for (const saved of [files, folder.folder('adapter')]) {
      await peft.loadAdapter(saved);
      await expectLogits(opened, 'after.logits', 1e-3);
      peft.deleteAdapter('default');
    }
  });
});

test('LoftQ rounds once, what it knows, for one adapter at a time', async () => {
  const { peft, config } = await open('loftq');
  const added = (name: string, loftq_config: JsonObject) =>
    peft.addAdapter(name, tuner.parseConfig({ ...config, loftq_config }).config);
  for (const wrong of [{ loftq_bits: 2 }, { loftq_iter: 0 }, { bits: 4 }])
    expect(await thrown(() => added('a', wrong)), JSON.stringify(wrong)).toBeInstanceOf(ConfigError);
  expect(peft.adapters).toEqual([]);
  await added('a', { loftq_bits: 8, loftq_iter: 2 });
  expect(await thrown(() => added('b', {}))).toBeInstanceOf(ConfigError);
  peft.disableAdapters();
  await added('b', {});
  peft.enableAdapters();
  expect(await thrown(() => peft.setAdapter(['a', 'b']))).toBeInstanceOf(ConfigError);
  peft.setAdapter('b');
  const refused = { name: 'UnsupportedConfigError', key: 'init_lora_weights' };
  expect(await thrown(() => mixAdapters(peft, 'c', ['a', 'b']))).toMatchObject(refused);
  expect(await thrown(() => hotSwap(peft, 'a', 'b'))).toMatchObject(refused);
  expect(await thrown(() => combineAdapters(peft, 'c', { a: 1, b: 1 }))).toMatchObject(refused);
});

test('what was taken from the base is not summed, but mixed', async () => {
  const { peft, config, batches } = await open('pissa');
  await peft.addAdapter('a', tuner.parseConfig(config).config);
  for (const { a } of (peft.attached('a') as LoraAdapter).layers) a.set(new Float32Array(a.size).fill(0.1));
  const alone = await logitsOf(peft.model, batches[0]!);
  const refused = { name: 'UnsupportedConfigError', key: 'init_lora_weights' };
  expect(await thrown(() => combineAdapters(peft, 'c', { a: 1 }))).toMatchObject(refused);
  expect(await thrown(() => hotSwap(peft, 'a', 'a'))).toMatchObject(refused);
  await mixAdapters(peft, 'mix', ['a']);
  peft.setAdapter('mix');
  const { inputIds, batchSize, length } = batches[0]!;
  const adapterIds = new Variable([batchSize], mixedIds(peft, 'mix', Array(batchSize).fill('a')));
  const ids = new Variable([batchSize, length], inputIds.slice());
  const [mixed] = await runtime.evaluate([
    peft.model.forward({ inputIds: ids }, new Context({ adapterIds })),
  ]);
  expect(deviation(mixed!, alone)).toBeLessThan(1e-4);
});

async function thrown(run: () => Promise<unknown> | unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
