import { Context, HostRandom, normalArray } from '@graftjs/nn';
import { AdapterNameError } from '@graftjs/peft';
import { type HostArray, Variable } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { add, distance, ids, model, output, runtime, thrown, toy, train, useToy } from '../test/toy.ts';

useToy();

describe('several adapters', () => {
  test('switch, add up, and leave the base when disabled', async () => {
    const base = await output();
    await add('a', { targetModules: ['o_proj'] }, 1);
    await add('b', { targetModules: ['layers.1.o_proj'] }, 2);
    expect(model.activeAdapters).toEqual(['a']);
    await train(model);
    const a = await output();
    model.setAdapter('b');
    expect([...model.trainableParameters().keys()].every((name) => name.includes('.b.'))).toBe(true);
    expect(await output()).toEqual(base);
    await train(model);
    const b = await output();
    expect(distance(a, base)).toBeGreaterThan(1e-3);
    expect(distance(b, base)).toBeGreaterThan(1e-3);

    model.setAdapter('a');
    expect(await output()).toEqual(a);
    model.setAdapter(['a', 'b']);
    const both = await output();
    expect(distance(both, a)).toBeGreaterThan(1e-3);
    expect(model.trainableParameters().size).toBe(6);
    model.setAdapter(['b', 'a']);
    expect(distance(await output(), both)).toBeLessThan(1e-6);
    model.setAdapter(['a', 'b']);
    expect(await output()).toEqual(both);

    model.disableAdapters();
    expect(await output()).toEqual(base);
    expect(model.trainableParameters().size).toBe(0);
    model.enableAdapters();
    expect(await output()).toEqual(both);
    expect(
      (await runtime.evaluate([model.withoutAdapters((m) => m.forward(ids, new Context()))]))[0],
    ).toEqual(base);
    expect(model.enabled).toBe(true);
    expect(await output()).toEqual(both);
  });

  test('on one layer add their changes to its output', async () => {
    const layer = toy.layers[0]!.q_proj;
    const x = new Variable([1, 8], normalArray(8, 1, new HostRandom(3)));
    const y = async (): Promise<HostArray> => (await runtime.evaluate([layer.forward(x, new Context())]))[0]!;
    const base = await y();
    await add('a', { initLoraWeights: false, targetModules: ['q_proj'] }, 1);
    const a = await y();
    await add('b', { initLoraWeights: false, targetModules: ['q_proj'], loraAlpha: 16 }, 2);
    model.setAdapter('b');
    const b = await y();
    model.setAdapter(['a', 'b']);
    expect(
      distance(
        await y(),
        a.map((v, i) => v + b[i]! - base[i]!),
      ),
    ).toBeLessThan(5e-6);
    expect(distance(a, b)).toBeGreaterThan(1e-2);
  });

  test('are deleted: their effect is gone and another becomes active', async () => {
    const base = await output();
    await add('a', { initLoraWeights: false }, 1);
    await add('b', {}, 2);
    model.deleteAdapter('a');
    expect(model.adapters).toEqual(['b']);
    expect(model.activeAdapters).toEqual(['b']);
    expect(await output()).toEqual(base);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual(['lora b']);
    model.deleteAdapter('b');
    expect(model.activeAdapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
    await add('a', { initLoraWeights: false }, 1);
    expect(distance(await output(), base)).toBeGreaterThan(1e-3);
  });

  test('are called by names that exist and are names', async () => {
    await add('a');
    for (const bad of ['a', '', 'x.y', 'x/y', 'x y'])
      expect(await thrown(() => add(bad)), bad).toBeInstanceOf(AdapterNameError);
    for (const run of [
      () => model.setAdapter('c'),
      () => model.setAdapter(['a', 'c']),
      () => model.deleteAdapter('c'),
      () => model.configOf('c'),
      () => model.encodeAdapter('c'),
    ])
      expect(await thrown(run)).toMatchObject({ name: 'AdapterNameError', adapter: 'c', known: ['a'] });
    expect(model.adapters).toEqual(['a']);
    expect(model.activeAdapters).toEqual(['a']);
  });
});
