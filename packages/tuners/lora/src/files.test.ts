import { fileURLToPath } from 'node:url';
import { encodeSafetensors, type MemoryFiles, memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { AdapterStateError, attentionTargets, PeftModel } from '@graftjs/peft';
import { describe, expect, test } from 'vitest';
import { add, fresh, model, output, runtime, thrown, toy, train, useToy, valuesOf } from '../test/toy.ts';
import { type LoraOptions, loraConfig, parseLoraConfig } from './config.ts';
import { lora } from './lora.ts';

useToy();

describe('files', () => {
  const saved = async (options: LoraOptions): Promise<MemoryFiles> => {
    await add('mine', { initLoraWeights: false, ...options });
    await train(model);
    const files: MemoryFiles = new Map();
    await model.saveAdapter(memoryFolder(files), 'mine');
    return files;
  };

  test('what is saved loads to the same bits, also the copies', async () => {
    const files = await saved({ bias: 'all', modulesToSave: ['lm_head'] });
    const before = await output();
    const trained = await valuesOf(model.trainableParameters().values());
    const other = fresh();
    const report = await other.model.loadAdapter(memoryFolder(files), 'theirs');
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [] });
    expect(await valuesOf(other.model.trainableParameters().values())).toEqual(trained);
    expect(await output(other.toy)).toEqual(before);
    const again: MemoryFiles = new Map();
    await other.model.saveAdapter(memoryFolder(again), 'theirs');
    expect([...again.keys()].sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    for (const [name, bytes] of files) expect(again.get(name), name).toEqual(bytes);
    expect(Object.keys(await model.encodeAdapter('mine')).sort()).toEqual([...files.keys()].sort());
  });

  test('an adapter that is loaded frozen is not trained', async () => {
    const files = await saved({});
    const other = fresh();
    await other.model.loadAdapter(memoryFolder(files), 'a', { trainable: false });
    expect(other.model.trainableParameters().size).toBe(0);
    expect(await output(other.toy)).toEqual(await output());
  });

  test('tensors that do not fit are refused by name, or reported where asked, and the model stays', async () => {
    const files = await saved({ targetModules: ['q_proj', 'v_proj'] });
    const config = JSON.parse(new TextDecoder().decode(files.get('adapter_config.json')));
    const withConfig = (change: object): ReturnType<typeof memoryFolder> =>
      memoryFolder(
        new Map([
          ...files,
          ['adapter_config.json', new TextEncoder().encode(JSON.stringify({ ...config, ...change }))],
        ]),
      );
    const other = fresh();
    const base = await output(other.toy);
    const error = await thrown(() =>
      other.model.loadAdapter(withConfig({ target_modules: ['q_proj', 'o_proj'] })),
    );
    expect(error).toBeInstanceOf(AdapterStateError);
    expect((error as AdapterStateError).missing).toContain('base_model.model.layers.0.o_proj.lora_A.weight');
    expect((error as AdapterStateError).unexpected).toContain(
      'base_model.model.layers.1.v_proj.lora_B.weight',
    );
    const shape = await thrown(() => other.model.loadAdapter(withConfig({ r: 8 })));
    expect(shape).toBeInstanceOf(AdapterStateError);
    expect((shape as AdapterStateError).mismatches[0]).toEqual({
      name: 'base_model.model.layers.0.q_proj.lora_A.weight',
      expected: [8, 8],
      got: [4, 8],
    });
    expect(other.model.adapters).toEqual([]);
    expect(other.toy.layers[0]!.q_proj.output.keys).toEqual([]);
    expect(await output(other.toy)).toEqual(base);

    const report = await other.model.loadAdapter(
      withConfig({ target_modules: ['q_proj', 'o_proj'], of_tomorrow: 1 }),
      'some',
      { strict: false },
    );
    expect(report.missing.length).toBe(4);
    expect(report.unexpected.length).toBe(4);
    expect(report.unknownConfigKeys).toEqual(['of_tomorrow']);
    expect(other.model.adapters).toEqual(['some']);
  });

  test('base weights that peft saves with a head hold for this adapter only', async () => {
    const files = await saved({ targetModules: ['lm_head'] });
    const folder = memoryFolder(files);
    const tensors = await openSafetensors(await folder.open('adapter_model.safetensors'));
    const doubled = ((await valuesOf([toy.embed.weight]))[0] as Float32Array).map((x) => 2 * x);
    const entries = await Promise.all(
      [...tensors.tensors].map(
        async ([key, { shape }]) => [key, { shape, data: await tensors.readFloat32(key) }] as const,
      ),
    );
    const key = 'base_model.model.lm_head.base_layer.weight';
    const bytes = encodeSafetensors(new Map([...entries, [key, { shape: [12, 8], data: doubled }]]));
    await folder.writeAtomic('adapter_model.safetensors', bytes);
    const other = fresh();
    const base = await output(other.toy);
    const report = await other.model.loadAdapter(folder);
    expect(report).toMatchObject({ missing: [], unexpected: [] });
    expect(other.toy.lm_head.weight).toBe(other.toy.embed.weight);
    expect(await valuesOf([other.toy.embed.weight])).toEqual([doubled]);
    expect([...other.model.trainableParameters().keys()].every((name) => name.includes('lora_'))).toBe(true);
    other.model.disableAdapters();
    expect(await output(other.toy)).toEqual(base);
  });

  test('configs are those of peft: every key, default targets, the order of a set aside', async () => {
    const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
    const json = async (name: string) => JSON.parse(await fixtures.readText(name));
    const defaults = await json('lora-config-defaults/adapter_config.json');
    expect(lora.configToJson(loraConfig({ r: 8, taskType: 'CAUSAL_LM' }))).toEqual(defaults);
    expect(parseLoraConfig(defaults)).toEqual({
      config: loraConfig({ taskType: 'CAUSAL_LM' }),
      unknownKeys: [],
    });
    const facts = await json('lora_target_modules.json');
    expect(attentionTargets).toEqual(facts.target_modules);

    const named = new PeftModel(toy, {
      runtime,
      tuners: [lora],
      modelType: 'llama',
      baseModel: 'llama-gqa-tied',
    });
    await named.addAdapter('default', loraConfig({ taskType: 'CAUSAL_LM' }));
    const files = await named.encodeAdapter();
    const text = new TextDecoder().decode(files['adapter_config.json']);
    const theirs = await fixtures.readText('lora-config-saved/adapter_config.json');
    const sortTargets = (config: { target_modules: string[] }) => ({
      ...config,
      target_modules: config.target_modules.sort(),
    });
    expect(sortTargets(JSON.parse(text))).toEqual(sortTargets(JSON.parse(theirs)));
    const lines = (s: string): string[] =>
      s
        .split('\n')
        .map((line) => line.replace(/,$/, ''))
        .sort();
    expect(lines(text)).toEqual(lines(theirs));
  });

  test('a method without a tuner is refused', async () => {
    const files = await saved({});
    const config = { peft_type: 'IA3' };
    files.set('adapter_config.json', new TextEncoder().encode(JSON.stringify(config)));
    expect(await thrown(() => fresh().model.loadAdapter(memoryFolder(files)))).toMatchObject({
      name: 'UnsupportedConfigError',
      key: 'peft_type',
      message: expect.stringContaining('tuners of this model are LORA'),
    });
  });
});
