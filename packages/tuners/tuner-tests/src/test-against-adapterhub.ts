/** Against AdapterHub's `adapters`, by fixtures that it made. */
import {
  type Folder,
  type MemoryFiles,
  memoryFolder,
  openSafetensors,
  readJsonObject,
} from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { architectures, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { type AdapterHubModel, PeftModel, type Tuner } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deviation } from './test-against-peft.ts';

export interface AdapterHubCases {
  readonly tuner: Tuner;
  /** A folder of fixtures: base models, and those of the cases. */
  readonly fixtures: Folder;
  /** Among the fixtures, the folder of the cases: one a case, with `adapter/`, `case.json` and `expected.safetensors`. */
  readonly folder: string;
  readonly cases: readonly string[];
  /** AdapterHub's files as `PeftModel.loadAdapter` takes them. */
  readonly read: (folder: Folder) => Promise<Folder>;
  /** AdapterHub's files, from what `PeftModel.saveAdapter` wrote. */
  readonly write: (folder: Folder, model: AdapterHubModel) => Promise<MemoryFiles>;
}

/**
 * The tests of a tuner against AdapterHub: adapters made there give the same logits, loss and gradients here, and written
 * again they are the same files.
 */
export function testAgainstAdapterHub({
  tuner,
  fixtures,
  folder: of,
  cases,
  read: readFiles,
  write,
}: AdapterHubCases): void {
  let gpu: Gpu;
  let runtime: Runtime;
  beforeAll(async () => {
    gpu = await openGpu();
    runtime = new Runtime(gpu, { poison: true });
  });
  afterAll(() => gpu?.close());

  describe.each(cases)('against AdapterHub: %s', (kind) => {
    const folder = fixtures.folder(of).folder(kind);
    const open = async () => {
      const { base } = await readJsonObject(folder, 'case.json');
      const { model } = await loadModel(fixtures.folder(base as string), { architectures });
      const peft = new PeftModel(model, { runtime, tuners: [tuner] });
      const report = await peft.loadAdapter(await readFiles(folder.folder('adapter')));
      expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [], warnings: [] });
      return { model, peft };
    };

    test('logits, loss and every gradient', async () => {
      const { model, peft } = await open();
      const expected = await openSafetensors(await folder.open('expected.safetensors'));
      const read = async (name: string): Promise<Int32Array<ArrayBuffer>> =>
        Int32Array.from(await expected.readFloat32(name));
      const shape = expected.tensors.get('input_ids')!.shape;
      const [mask, given] = [await read('attention_mask'), await read('labels')];
      const labels = new Variable(shape, given.slice());
      const inputs = {
        inputIds: new Variable(shape, await read('input_ids')),
        keyMask: new Variable(shape, mask.slice()),
      };
      const supervised = given.filter((label, i) => label !== -100 && i % shape[1]! > 0).length;
      const plain = peft.withoutAdapters(() => model.forward(inputs, new Context()));
      const logits = model.forward(inputs, new Context());
      const loss = mul(tokenLossSum(logits, labels), 1 / supervised);
      const trained = peft.trainableParameters();
      const got = await runtime.evaluate([plain, logits, loss, ...gradients(loss, [...trained.values()])]);
      const isToken = (i: number): boolean => mask[Math.floor(i / model.config.vocabSize)] === 1;
      const wanted = await expected.readFloat32('logits');
      expect(deviation(got[0]!, wanted, isToken)).toBeGreaterThan(0.01);
      expect(deviation(got[1]!, wanted, isToken)).toBeLessThan(1e-4);
      expect(deviation(got[2]!, await expected.readFloat32('loss'))).toBeLessThan(1e-4);
      const keys = [...trained.keys()].map((name) =>
        name.replace('base_model.model.', 'grad.').replace('.default.', '.task.'),
      );
      expect(keys.slice().sort()).toEqual(
        [...expected.tensors.keys()].filter((key) => key.startsWith('grad.')).sort(),
      );
      for (const [i, key] of keys.entries())
        expect(deviation(got[3 + i]!, await expected.readFloat32(key)), key).toBeLessThan(1e-4);
    });

    test('written again: the same tensors and config', async () => {
      const { peft } = await open();
      const saved = memoryFolder();
      await peft.saveAdapter(saved);
      const theirs = folder.folder('adapter');
      const json = await readJsonObject(theirs, 'adapter_config.json');
      const ours = memoryFolder(
        await write(saved, {
          name: 'task',
          hiddenSize: json.hidden_size as number,
          modelClass: json.model_class as string,
          modelName: json.model_name as string,
          modelType: json.model_type as string,
        }),
      );
      expect(await readJsonObject(ours, 'adapter_config.json')).toEqual(json);
      const [a, b] = await Promise.all(
        [ours, theirs].map(async (f) => openSafetensors(await f.open('adapter.safetensors'))),
      );
      expect([...a!.tensors.keys()].sort()).toEqual([...b!.tensors.keys()].sort());
      for (const key of b!.tensors.keys())
        expect(await a!.readFloat32(key), key).toEqual(await b!.readFloat32(key));
    });
  });
}
