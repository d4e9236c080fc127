import { fileURLToPath } from 'node:url';
import { memoryFolder, openSafetensors, readAdapter } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { Generator } from '@graftjs/generate';
import { architectures, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { ConfigError, MergeError, PeftModel, UnsupportedConfigError } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { deviation } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type XloraOptions, xloraConfig } from './config.ts';
import { xlora } from './xlora.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const root = fixtures.folder('xlora');
const said = JSON.parse(await root.readText('case.json')) as {
  base: string;
  experts: string[];
  cases: string[];
};
const experts = said.experts.map((name) => fixtures.folder('lora-batches').folder(name));

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const newModel = async (folders = experts) => {
  const { model } = await loadModel(fixtures.folder(said.base), { architectures });
  return new PeftModel(model, { runtime, tuners: [xlora(folders)], baseModel: said.base });
};

async function opened(name: string) {
  const folder = root.folder(name);
  const peft = await newModel();
  const report = await peft.loadAdapter(folder.folder('adapter'));
  expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [] });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const integers = async (key: string) =>
    new Variable(expected.tensors.get(key)!.shape, Int32Array.from(await expected.readFloat32(key)));
  const mask = await expected.readFloat32('attention_mask');
  return {
    folder,
    peft,
    expected,
    inputIds: await integers('input_ids'),
    labels: await integers('labels'),
    isToken: (i: number) => mask[Math.floor(i / 96)] === 1,
  };
}

describe.each(said.cases)('against PEFT: %s', (name) => {
  test('logits, loss and every gradient', async () => {
    const { peft, expected, inputIds, labels, isToken } = await opened(name);
    const logits = peft.model.forward({ inputIds }, new Context());
    const counted = (await expected.readFloat32('labels')).filter((label, i) => label !== -100 && i % 12 > 0);
    const loss = mul(tokenLossSum(logits, labels), 1 / counted.length);
    const trained = peft.trainableParameters();
    const got = await runtime.evaluate([logits, loss, ...gradients(loss, [...trained.values()])]);
    expect(deviation(got[0]!, await expected.readFloat32('logits'), isToken)).toBeLessThan(1e-4);
    expect(deviation(got[1]!, await expected.readFloat32('loss'))).toBeLessThan(1e-4);
    const keys = [...trained.keys()].map((key) =>
      key.replace(/^base_model(.*)\.default-(\d)\./, 'base_model.lora_model$1.$2.'),
    );
    const there = [...expected.tensors.keys()].filter((key) => key.startsWith('grad.'));
    expect(keys.map((key) => `grad.${key}`).sort()).toEqual(there.sort());
    for (const [i, key] of keys.entries())
      expect(deviation(got[2 + i]!, await expected.readFloat32(`grad.${key}`)), key).toBeLessThan(1e-4);
  });

  test('generated tokens, here with a cache', async () => {
    const { peft, expected } = await opened(name);
    const generator = new Generator(runtime, peft.model);
    const prompt = await expected.readFloat32('greedy.input_ids');
    const made = [...(await expected.readFloat32('greedy.new_ids'))];
    expect(await generator.generate(prompt, { maxNewTokens: made.length, stopIds: [] })).toEqual(made);
    generator.close();
  });

  test('written again: the same tensors and config', async () => {
    const { peft, folder } = await opened(name);
    const ours = await readAdapter(memoryFolder(new Map(Object.entries(await peft.encodeAdapter()))));
    const theirs = await readAdapter(folder.folder('adapter'));
    expect([...ours.tensors.tensors.keys()].sort()).toEqual([...theirs.tensors.tensors.keys()].sort());
    for (const key of theirs.tensors.tensors.keys())
      expect(await ours.tensors.readFloat32(key), key).toEqual(await theirs.tensors.readFloat32(key));
    expect(ours.config).toEqual(theirs.config);
  });
});

test('switched off, the model is the base; it is not merged; its classifier is what is trained', async () => {
  const { peft, expected, inputIds, isToken } = await opened('deep');
  const base = await peft.withoutAdapters((model) =>
    runtime.evaluate([model.forward({ inputIds }, new Context())]),
  );
  expect(deviation(base[0]!, await expected.readFloat32('base_logits'), isToken)).toBeLessThan(1e-4);
  expect([...peft.trainableParameters().keys()].every((key) => key.includes('xlora_classifier'))).toBe(true);
  await expect(peft.merge()).rejects.toBeInstanceOf(MergeError);
  peft.deleteAdapter('default');
  expect(Object.hasOwn(peft.model, 'hiddenStates')).toBe(false);
});

test('refuses experts that cannot be mixed, and configs that do not fit them', async () => {
  const batches = fixtures.folder('lora-batches');
  const added = async (options: XloraOptions, folders = experts) => {
    const peft = await newModel(folders);
    return peft.addAdapter('a', xloraConfig(options));
  };
  await expect(added({}, [batches.folder('two')])).rejects.toMatchObject({ name: 'TargetError' });
  await expect(
    added({}, [fixtures.folder('lora-qwen2-dora').folder('adapter_start')]),
  ).rejects.toBeInstanceOf(UnsupportedConfigError);
  await expect(added({}, [])).rejects.toBeInstanceOf(ConfigError);
  await expect(added({ hiddenSize: 33 })).rejects.toBeInstanceOf(ConfigError);
  await expect(added({ topKLora: 4 })).rejects.toBeInstanceOf(ConfigError);
  await expect(added({ adapters: { '0': 'one' } })).rejects.toBeInstanceOf(ConfigError);
  expect(() => xloraConfig({ enableSoftmaxTopk: true })).toThrow(ConfigError);
  await added({});
});
