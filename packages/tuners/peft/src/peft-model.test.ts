/** The contract, by two tuners that the core has never heard of. */
import { type MemoryFiles, memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { Context, HostRandom, Linear, Module, normalArray, Parameter } from '@graftjs/nn';
import { add, type HostArray, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  type AdapterConfig,
  type ConfigOf,
  commonFields,
  configToJson,
  field,
  makeConfig,
  parseConfig,
} from './config.ts';
import { MergeError } from './errors.ts';
import { PeftModel } from './peft-model.ts';
import { BASE_PREFIX } from './state.ts';
import { findTargets } from './targets.ts';
import type { AdapterTensor, AttachedAdapter, Tuner } from './tuner.ts';

const schema = { ...commonFields, targetModules: field.names('target_modules') } as const;
type ScaleConfig = ConfigOf<typeof schema> & { readonly peftType: string };

/** y (1 + g) with a number g for each output; on disk 1 + g, so that file and memory differ. Cannot be merged. */
const scaleTuner = (peftType: string): Tuner<ScaleConfig> => ({
  peftType,
  parseConfig(json) {
    const { config, unknownKeys } = parseConfig(schema, json);
    return { config: { ...config, peftType }, unknownKeys };
  },
  configToJson: (config) => configToJson(schema, config),
  async attach(model, config, { adapterName }): Promise<AttachedAdapter<ScaleConfig>> {
    await Promise.resolve();
    const supports = (module: Module): boolean => module instanceof Linear;
    const found = findTargets(model, config, { supports, kind: 'linear layers only' });
    const gains = new Map<string, Parameter>();
    let active = false;
    const site = `${peftType} ${adapterName}`;
    const layers = [...found.modules] as [string, Linear][];
    for (const [path, layer] of layers) {
      const gain = new Parameter([layer.outFeatures]);
      gains.set(path, gain);
      layer.output.attach(site, (y) => (active ? mul(y, add(gain, 1)) : y));
    }
    const key = (path: string): string => `${BASE_PREFIX}${path}.scale`;
    return {
      config: { ...config, targetModules: found.targetModules },
      targets: [...gains.keys()],
      warnings: found.warnings,
      *namedParameters() {
        for (const [path, gain] of gains) yield [`${BASE_PREFIX}${path}.scale.${adapterName}`, gain];
      },
      async toStateDict(runtime) {
        const state = new Map<string, AdapterTensor>();
        for (const [path, gain] of gains) {
          const [data] = await runtime.evaluate([add(gain, 1)]);
          state.set(key(path), { shape: gain.shape, data: data as Float32Array });
        }
        return state;
      },
      fromStateDict(state) {
        for (const [path, gain] of gains) {
          const data = state.get(key(path))?.data;
          if (data) gain.set(Float32Array.from(data, (x) => x - 1));
        }
        const keys = [...gains.keys()].map(key);
        return {
          missing: keys.filter((k) => !state.has(k)),
          unexpected: [...state.keys()].filter((k) => !keys.includes(k)),
        };
      },
      setActive(on) {
        active = on;
      },
      detach() {
        for (const [, layer] of layers) layer.output.detach(site);
      },
    };
  },
});

const scaleConfig = (peftType: string, targetModules: string[]): AdapterConfig =>
  ({ ...makeConfig(schema, { targetModules }), peftType }) as ScaleConfig;

class Toy extends Module {
  readonly first: Linear = new Linear(4, 4);
  readonly second: Linear = new Linear(4, 4, { bias: true });
}

let gpu: Gpu;
let runtime: Runtime;
let toy: Toy;
let model: PeftModel<Toy>;
const tuners = [scaleTuner('SCALE'), scaleTuner('GAIN')];
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());
beforeEach(() => {
  toy = new Toy();
  const random = new HostRandom(1);
  for (const p of toy.parameters()) p.set(normalArray(p.size, 1, random));
  model = new PeftModel(toy, { runtime, tuners });
});

const x = new Variable([1, 4], Float32Array.of(1, -2, 3, 0.5));
const output = async (m: Toy = toy): Promise<HostArray> => {
  const context = new Context();
  return (await runtime.evaluate([m.second.forward(m.first.forward(x, context), context)]))[0]!;
};
const setGains = (...values: number[]): void => {
  for (const parameter of model.trainableParameters().values()) parameter.set(Float32Array.from(values));
};

test('an adapter of any tuner is added, trained, switched and removed', async () => {
  const base = await output();
  const report = await model.addAdapter('a', scaleConfig('SCALE', ['second']));
  expect(report).toEqual({ targets: ['second'], warnings: [] });
  expect(await output()).toEqual(base);
  expect([...model.trainableParameters().keys()]).toEqual(['base_model.model.second.scale.a']);
  setGains(0, 1, 2, 3);
  const scaled = base.map((y, i) => y * (1 + i));
  expect(await output()).toEqual(scaled);

  await model.addAdapter('b', scaleConfig('GAIN', ['second']));
  model.setAdapter('b');
  expect(await output()).toEqual(base);
  setGains(1, 1, 1, 1);
  model.setAdapter(['a', 'b']);
  expect(await output()).toEqual(scaled.map((y) => 2 * y));
  model.deleteAdapter('a');
  expect(await output()).toEqual(base.map((y) => 2 * y));
  model.unload();
  expect(await output()).toEqual(base);
  expect(toy.second.output.keys).toEqual([]);
});

test('the tuner decides what is in the file, and the file says which tuner reads it', async () => {
  await model.addAdapter('a', scaleConfig('GAIN', ['second']));
  setGains(0, 1, 2, 3);
  const before = await output();
  const files: MemoryFiles = new Map();
  const folder = memoryFolder(files);
  await model.saveAdapter(folder, 'a');
  const tensors = await openSafetensors(await folder.open('adapter_model.safetensors'));
  expect([...tensors.tensors.keys()]).toEqual(['base_model.model.second.scale']);
  expect([...(await tensors.readFloat32('base_model.model.second.scale'))]).toEqual([1, 2, 3, 4]);
  expect(JSON.parse(await folder.readText('adapter_config.json'))).toEqual({
    peft_type: 'GAIN',
    target_modules: ['second'],
    task_type: null,
    base_model_name_or_path: null,
    revision: null,
    auto_mapping: null,
    inference_mode: true,
    peft_version: '0.21.2',
  });
  model.deleteAdapter('a');
  const report = await model.loadAdapter(folder);
  expect(report).toEqual({
    targets: ['second'],
    warnings: [],
    missing: [],
    unexpected: [],
    unknownConfigKeys: [],
  });
  expect(model.configOf('default').peftType).toBe('GAIN');
  expect(await output()).toEqual(before);
});

test('a method that is no change of weights cannot be merged', async () => {
  await model.addAdapter('a', scaleConfig('SCALE', ['first']));
  await expect(model.merge()).rejects.toThrow(MergeError);
  await expect(model.mergeAndUnload()).rejects.toThrow('SCALE is no change of weights');
  expect(model.adapters).toEqual(['a']);
  expect(model.mergedAdapters).toEqual([]);
});

test('where a build without adapters throws, they are there again', async () => {
  await model.addAdapter('a', scaleConfig('SCALE', ['second']));
  setGains(1, 1, 1, 1);
  const before = await output();
  const fail = (): never => {
    throw new Error('built nothing');
  };
  expect(() => model.withoutAdapters(fail)).toThrow('built nothing');
  expect(model.enabled).toBe(true);
  expect(await output()).toEqual(before);
});
