import { memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { AdapterConflictError, TargetError } from '@graftjs/peft';
import { describe, expect, test } from 'vitest';
import { add, distance, model, output, renew, thrown, toy, train, useToy, valuesOf } from '../test/toy.ts';
import { loraConfig } from './config.ts';

useToy();

describe('what is trained beside the matrices', () => {
  test('copies of whole modules, which leave the base and what it shares alone', async () => {
    const base = await output();
    const report = await model.addAdapter(
      'a',
      loraConfig({ targetModules: 'all-linear', modulesToSave: ['lm_head', 'layers.0.o_proj'] }),
    );
    expect(report.targets).not.toContain('layers.0.o_proj');
    expect(report.warnings).toEqual([
      "lm_head.weight is trained alone: the other modules that share it keep the base's",
    ]);
    expect(await output()).toEqual(base);
    const names = [...model.trainableParameters().keys()].filter((name) => !name.includes('lora_'));
    expect(names).toEqual([
      'base_model.model.layers.0.o_proj.modules_to_save.a.weight',
      'base_model.model.lm_head.modules_to_save.a.weight',
    ]);
    const shared = await valuesOf([toy.embed.weight]);
    await train(model);
    expect(await valuesOf([toy.embed.weight])).toEqual(shared);
    const trained = await output();
    expect(distance(trained, base)).toBeGreaterThan(1e-3);
    model.disableAdapters();
    expect(await output()).toEqual(base);
    expect(toy.lm_head.weight).toBe(toy.embed.weight);
    model.enableAdapters();
    expect(await output()).toEqual(trained);
    await model.mergeAndUnload();
    expect(distance(await output(), trained)).toBeLessThan(2e-5);
  });

  test('biases, of all layers or of the targets, on disk where peft has them', async () => {
    const biases = async (bias: 'all' | 'lora_only', targetModules: string[]): Promise<string[]> => {
      renew();
      const base = await output();
      await add('default', { bias, targetModules });
      const before = (await output()) && base;
      await train(model);
      model.disableAdapters();
      expect(await output()).toEqual(before);
      const files = await model.encodeAdapter();
      const tensors = await openSafetensors(
        await memoryFolder(new Map(Object.entries(files))).open('adapter_model.safetensors'),
      );
      return [...tensors.tensors.keys()].filter((key) => !key.includes('lora_')).sort();
    };
    expect(await biases('all', ['layers.0.v_proj'])).toEqual([
      'base_model.model.layers.0.v_proj.base_layer.bias',
      'base_model.model.layers.1.v_proj.bias',
    ]);
    expect(await biases('lora_only', ['layers.0.v_proj'])).toEqual([
      'base_model.model.layers.0.v_proj.base_layer.bias',
    ]);
    expect(await biases('lora_only', ['q_proj'])).toEqual([]);
  });

  test('two adapters with copies of the same weights are not active together', async () => {
    await add('a', { bias: 'all' });
    await add('b', { bias: 'lora_only' });
    await add('c');
    model.setAdapter(['a', 'c']);
    expect(await thrown(() => model.setAdapter(['a', 'b']))).toBeInstanceOf(AdapterConflictError);
    expect(model.activeAdapters).toEqual(['a', 'c']);
  });

  test('modules that are not there are refused with the nearest name, and nothing is left behind', async () => {
    const error = await thrown(() => add('a', { modulesToSave: ['lm_heda'] }));
    expect(error).toBeInstanceOf(TargetError);
    expect(error).toMatchObject({ nearest: 'lm_head' });
    expect(model.adapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
  });
});
