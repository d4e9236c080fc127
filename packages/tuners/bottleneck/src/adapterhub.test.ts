/** Against AdapterHub's `adapters`, by fixtures that it made. */
import { fileURLToPath } from 'node:url';
import { type Folder, memoryFolder, openSafetensors, readJsonObject } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { architectures, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
import { bottleneck } from './bottleneck.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const bases = ['llama-gqa-untied', 'gpt2'];
const kinds = [
  'houlsby',
  'pfeiffer',
  'parallel',
  'norms',
  'alone',
  'compacter',
  'compacter-shared',
  'compacter-own',
  'norm-before',
  'invertible',
];
const tolerance = 1e-4;

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

function deviation(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  counts = (_: number): boolean => true,
): number {
  const at = Array.from({ length: b.length }, (_, i) => i).filter(counts);
  const rms = Math.sqrt(at.reduce((sum, i) => sum + b[i]! ** 2, 0) / at.length);
  return Math.max(...at.map((i) => Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(b[i]!), rms)));
}

async function open(base: string, kind: string) {
  const folder = fixtures.folder('adapterhub').folder(`${base}-${kind}`);
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const { model } = await loadModel(fixtures.folder(base), { architectures });
  const peft = new PeftModel(model, { runtime, tuners: [bottleneck] });
  const i32 = async (name: string): Promise<Variable> =>
    new Variable(expected.tensors.get(name)!.shape, Int32Array.from(await expected.readFloat32(name)));
  return {
    folder,
    expected,
    model,
    peft,
    inputIds: await i32('input_ids'),
    labels: await i32('labels'),
    keyMask: await i32('attention_mask'),
  };
}

const tensorsOf = async (folder: Folder): Promise<Record<string, Float32Array>> => {
  const weights = await openSafetensors(await folder.open('adapter.safetensors'));
  const read: Record<string, Float32Array> = {};
  for (const name of [...weights.tensors.keys()].sort()) read[name] = await weights.readFloat32(name);
  return read;
};

describe.each(bases.flatMap((base) => kinds.map((kind) => [base, kind] as const)))('%s, %s', (base, kind) => {
  test('logits, loss and every gradient', async () => {
    const { folder, expected, model, peft, inputIds, labels, keyMask } = await open(base, kind);
    const [plain] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
    const report = await peft.loadAdapter(await fromAdapterHub(folder.folder('adapter')));
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [], warnings: [] });
    const [mask, learnt] = [
      await expected.readFloat32('attention_mask'),
      await expected.readFloat32('labels'),
    ];
    const supervised = learnt.filter((label, i) => label !== -100 && i % inputIds.shape[1]! > 0).length;
    // A gate is a mean over all tokens, padding too, so that it matters what padding sees.
    const logits = model.forward({ inputIds, keyMask }, new Context());
    const loss = mul(tokenLossSum(logits, labels), 1 / supervised);
    const trained = peft.trainableParameters();
    const got = await runtime.evaluate([logits, loss, ...gradients(loss, [...trained.values()])]);
    const isToken = (i: number): boolean => mask[Math.floor(i / model.config.vocabSize)] === 1;
    const wanted = await expected.readFloat32('logits');
    expect(deviation(plain!, wanted, isToken)).toBeGreaterThan(0.01);
    expect(deviation(got[0]!, wanted, isToken)).toBeLessThan(tolerance);
    expect(deviation(got[1]!, await expected.readFloat32('loss'))).toBeLessThan(tolerance);
    const keys = [...trained.keys()].map((name) =>
      name.replace('base_model.model.', 'grad.').replace('.default.', '.task.'),
    );
    expect(keys.slice().sort()).toEqual(
      [...expected.tensors.keys()].filter((k) => k.startsWith('grad.')).sort(),
    );
    for (const [i, key] of keys.entries())
      expect(deviation(got[2 + i]!, await expected.readFloat32(key)), key).toBeLessThan(tolerance);
  });

  test('written again: the same tensors and config', async () => {
    const { folder, peft } = await open(base, kind);
    await peft.loadAdapter(await fromAdapterHub(folder.folder('adapter')));
    const saved = memoryFolder();
    await peft.saveAdapter(saved);
    const theirs = folder.folder('adapter');
    const json = await readJsonObject(theirs, 'adapter_config.json');
    const files = await toAdapterHub(saved, {
      name: 'task',
      hiddenSize: json.hidden_size as number,
      modelClass: json.model_class as string,
      modelName: json.model_name as string,
      modelType: json.model_type as string,
    });
    const ours = memoryFolder(files);
    expect(await tensorsOf(ours)).toEqual(await tensorsOf(theirs));
    expect(await readJsonObject(ours, 'adapter_config.json')).toEqual(json);
  });
});

test('a pickle is refused, and what is no adapter', async () => {
  const config = JSON.stringify({ name: 'task', config: {} });
  const files = (names: Record<string, string>) =>
    memoryFolder(
      new Map(Object.entries(names).map(([name, text]) => [name, new TextEncoder().encode(text)])),
    );
  await expect(
    fromAdapterHub(files({ 'adapter_config.json': config, 'pytorch_adapter.bin': 'x' })),
  ).rejects.toThrow(/pickle/i);
  await expect(fromAdapterHub(files({ 'adapter_config.json': config }))).rejects.toThrow(
    'adapter.safetensors',
  );
  await expect(fromAdapterHub(files({ 'adapter_config.json': '{"peft_type":"LORA"}' }))).rejects.toThrow(
    /no config of AdapterHub/,
  );
});
