/** Compositions and AdapterFusion against AdapterHub's `adapters`, by fixtures that it made. */
import { fileURLToPath } from 'node:url';
import { memoryFolder, openSafetensors, readJsonObject, type Weights } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { architectures, type CausalLM, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import {
  average,
  batchSplit,
  type Composition,
  inParallel,
  MergeError,
  PeftModel,
  parallel,
  stack,
} from '@graftjs/peft';
import { gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { deviation } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromAdapterHub, fusionFromAdapterHub, fusionToAdapterHub } from './adapterhub.ts';
import { bottleneck } from './bottleneck.ts';
import { adapterFusion, FusedAdapterError, fusionRegularization } from './fusion.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const compositions: Readonly<Record<string, Composition>> = {
  stack: stack('one', 'two'),
  average: average(['one', 'two'], { weights: [3, 1] }),
  'batch-split': batchSplit(['one', 'two'], 1),
  parallel: parallel('one', 'two'),
  'stack-in-split': batchSplit([stack('one', 'two'), 'three'], [1, 1]),
  'average-in-parallel': parallel(average(['one', 'three']), 'two'),
  'split-in-stack': stack('three', batchSplit(['one', 'two'], [1, 1])),
};

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

async function open(base: string, kind: string) {
  const folder = fixtures.folder('adapterhub-compositions').folder(kind);
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const { model } = await loadModel(fixtures.folder(base), { architectures });
  const peft = new PeftModel(model, { runtime, tuners: [bottleneck, adapterFusion, lora] });
  const i32 = async (name: string): Promise<Variable> =>
    new Variable(expected.tensors.get(name)!.shape, Int32Array.from(await expected.readFloat32(name)));
  const inputs = { inputIds: await i32('input_ids'), keyMask: await i32('attention_mask') };
  return { folder, expected, model, peft, inputs, labels: await i32('labels') };
}

async function withAdapters(base: string) {
  const opened = await open(base, base);
  for (const name of ['one', 'two', 'three'])
    await opened.peft.loadAdapter(await fromAdapterHub(opened.folder.folder(name)), name);
  return opened;
}

/** Largest deviation of a tensor from the logits of a name, where tokens are. */
async function compare(got: ArrayLike<number>, expected: Weights, name: string, model: CausalLM) {
  const mask = await expected.readFloat32('attention_mask');
  const isToken = (i: number): boolean => mask[Math.floor(i / model.config.vocabSize) % mask.length] === 1;
  return deviation(got, await expected.readFloat32(`logits.${name}`), isToken);
}

const logitsOf = async (logits: Tensor): Promise<ArrayLike<number>> => (await runtime.evaluate([logits]))[0]!;

describe.each(['llama-gqa-untied', 'gpt2'])('%s', (base) => {
  test('compositions of bottleneck adapters', async () => {
    const { expected, model, peft, inputs } = await withAdapters(base);
    for (const [name, composition] of Object.entries(compositions)) {
      peft.setAdapter(composition);
      const given = name.includes('parallel') ? inParallel(inputs, 2) : inputs;
      const got = await logitsOf(model.forward(given, new Context()));
      expect(await compare(got, expected, name, model), name).toBeLessThan(1e-4);
      peft.setAdapter('three');
      const other = await logitsOf(model.forward(given, new Context()));
      expect(await compare(other, expected, name, model), name).toBeGreaterThan(1e-3);
    }
  });
});

test('compositions of LoRA', async () => {
  const { expected, model, peft, inputs } = await open('llama-gqa-untied', 'llama-gqa-untied-lora');
  for (const name of ['one', 'two', 'three']) {
    await peft.addAdapter(name, loraConfig({ r: 2, loraAlpha: 4 }));
    peft.setAdapter(name);
    for (const [key, parameter] of peft.trainableParameters()) {
      const theirs = key
        .replace('base_model.model.', '')
        .replace(/\.(lora_[AB])\.(\w+)\.weight/, '.loras.$2.$1');
      parameter.set(Float32Array.from(await expected.readFloat32(theirs)));
    }
  }
  for (const name of ['average', 'batch-split', 'parallel']) {
    peft.setAdapter(compositions[name]!);
    const given = name === 'parallel' ? inParallel(inputs, 2) : inputs;
    const got = await logitsOf(model.forward(given, new Context()));
    expect(await compare(got, expected, name, model), name).toBeLessThan(1e-4);
  }
  await expect(peft.merge()).rejects.toThrow(MergeError);
});

const fusions = [
  ['llama-gqa-untied', 'static'],
  ['gpt2', 'dynamic'],
  ['gpt2', 'before'],
] as const;

describe.each(fusions)('fusion on %s, %s', (base, kind) => {
  test('logits and the gradients of the fusion alone', async () => {
    const { folder, expected, model, peft, inputs, labels } = await withAdapters(base);
    const report = await peft.loadAdapter(await fusionFromAdapterHub(folder.folder(kind)), 'fusion');
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [], warnings: [] });
    peft.setAdapter('fusion');
    const learnt = await expected.readFloat32('labels');
    const count = learnt.filter((label, i) => label !== -100 && i % labels.shape[1]! > 0).length;
    const logits = model.forward(inputs, new Context());
    const trained = peft.trainableParameters();
    const loss = mul(tokenLossSum(logits, labels), 1 / count);
    const got = await runtime.evaluate([logits, ...gradients(loss, [...trained.values()])]);
    expect(await compare(got[0]!, expected, kind, model)).toBeLessThan(1e-4);
    const { adapterNames } = peft.configOf('fusion') as unknown as { adapterNames: string[] };
    const keys = [...trained.keys()].map((name) =>
      name
        .replace('base_model.model.', `grad.${kind}.`)
        .replace('adapter_fusion_layer.fusion.', `adapter_fusion_layer.${adapterNames}.`),
    );
    expect(keys.slice().sort()).toEqual(
      [...expected.tensors.keys()].filter((key) => key.startsWith(`grad.${kind}.`)).sort(),
    );
    // A bias of all keys changes no softmax: its gradient is what rounding leaves.
    for (const [i, key] of keys.entries())
      if (!key.endsWith('.key.bias'))
        expect(deviation(got[1 + i]!, await expected.readFloat32(key)), key).toBeLessThan(1e-4);
    const regularization = expected.tensors.has(`regularization.${kind}`);
    if (regularization) {
      const [value] = await runtime.evaluate([fusionRegularization(peft.attached('fusion'))]);
      expect(deviation(value!, await expected.readFloat32(`regularization.${kind}`))).toBeLessThan(1e-5);
    }
    peft.deleteAdapter('two');
    expect(() => model.forward(inputs, new Context())).toThrow(FusedAdapterError);
  });

  test('written again: the same tensors and config', async () => {
    const { folder, peft } = await withAdapters(base);
    const theirs = folder.folder(kind);
    await peft.loadAdapter(await fusionFromAdapterHub(theirs), 'fusion');
    const saved = memoryFolder();
    await peft.saveAdapter(saved, 'fusion');
    const json = await readJsonObject(theirs, 'adapter_fusion_config.json');
    const files = await fusionToAdapterHub(saved, {
      name: json.name as string,
      hiddenSize: json.hidden_size as number,
      modelClass: json.model_class as string,
      modelName: json.model_name as string,
      modelType: json.model_type as string,
    });
    const ours = memoryFolder(files);
    expect(await readJsonObject(ours, 'adapter_fusion_config.json')).toEqual(json);
    const [a, b] = await Promise.all(
      [ours, theirs].map(async (f) => openSafetensors(await f.open('model_adapter_fusion.safetensors'))),
    );
    expect([...a!.tensors.keys()].sort()).toEqual([...b!.tensors.keys()].sort());
    for (const key of b!.tensors.keys())
      expect(await a!.readFloat32(key), key).toEqual(await b!.readFloat32(key));
  });
});
