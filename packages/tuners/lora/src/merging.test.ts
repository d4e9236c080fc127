import { MergedError, MergeError } from '@graftjs/peft';
import { describe, expect, test } from 'vitest';
import { add, distance, model, output, thrown, toy, train, useToy, valuesOf } from '../test/toy.ts';

useToy();

describe('merging', () => {
  test.each([false, true])('gives the same output, and unmerging the base (safe: %s)', async (safe) => {
    const base = await output();
    const weights = await valuesOf(toy.parameters());
    await add('a', { initLoraWeights: false }, 1);
    await add('b', { initLoraWeights: false, useRslora: true }, 2);
    model.setAdapter(['a', 'b']);
    const both = await output();
    await model.merge({ safe });
    expect(model.mergedAdapters).toEqual(['a', 'b']);
    expect(distance(await output(), both)).toBeLessThan(2e-5);
    expect(distance((await valuesOf([toy.layers[0]!.q_proj.weight]))[0]!, weights[1]!)).toBeGreaterThan(1e-3);
    for (const run of [
      () => model.merge(),
      () => model.setAdapter('a'),
      () => model.disableAdapters(),
      () => model.deleteAdapter('a'),
      () => model.trainableParameters(),
      () => model.unload(),
      () => add('c'),
    ])
      expect(await thrown(run)).toBeInstanceOf(MergedError);
    await model.unmerge();
    expect(distance(await output(), both)).toBeLessThan(2e-5);
    model.disableAdapters();
    expect(distance(await output(), base)).toBeLessThan(2e-5);
    for (const [i, values] of (await valuesOf(toy.parameters())).entries())
      expect(distance(values, weights[i]!)).toBeLessThan(1e-6);
  });

  test('and unloading leaves a plain model with the same output', async () => {
    await add('a', { initLoraWeights: false });
    await add('b');
    const before = await output();
    const merged = await model.mergeAndUnload();
    expect(merged).toBe(toy);
    expect(model.adapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
    expect(distance(await output(), before)).toBeLessThan(2e-5);
  });

  test('a layer that shares its weight leaves the other place as it was', async () => {
    await add('a', { initLoraWeights: false, targetModules: ['lm_head'] });
    const shared = await valuesOf([toy.embed.weight]);
    const before = await output();
    await model.merge({ safe: true });
    expect(toy.lm_head.weight).not.toBe(toy.embed.weight);
    expect(distance(await output(), before)).toBeLessThan(2e-5);
    expect(await valuesOf([toy.embed.weight])).toEqual(shared);
    await model.unmerge();
    expect(toy.lm_head.weight).toBe(toy.embed.weight);
    expect(await output()).toEqual(before);
  });

  test('safe merging refuses what is not finite and changes nothing', async () => {
    await add('a', { initLoraWeights: false }, 1);
    await add('b', { initLoraWeights: false }, 2);
    model.setAdapter('b');
    const last = [...model.trainableParameters().values()].at(-1)!;
    last.set(new Float32Array(last.size).fill(Number.NaN));
    const weights = await valuesOf(toy.parameters());
    model.setAdapter('a');
    const a = await output();
    model.setAdapter(['a', 'b']);
    const error = await thrown(() => model.merge({ safe: true }));
    expect(error).toBeInstanceOf(MergeError);
    expect(error).toMatchObject({ adapter: 'b', message: expect.stringContaining('layers.1.o_proj') });
    expect(model.mergedAdapters).toEqual([]);
    for (const [i, values] of (await valuesOf(toy.parameters())).entries())
      expect(distance(values, weights[i]!)).toBeLessThan(1e-6);
    model.setAdapter('a');
    expect(distance(await output(), a)).toBeLessThan(2e-5);
  });

  test('needs adapters that are enabled', async () => {
    await add('a');
    model.disableAdapters();
    expect(await thrown(() => model.merge())).toBeInstanceOf(MergeError);
  });

  test('unload gives back the base to the bit', async () => {
    const base = await output();
    await add('a', { initLoraWeights: false, bias: 'all', modulesToSave: ['lm_head'] });
    await train(model);
    model.unload();
    expect(await output()).toEqual(base);
    expect(toy.lm_head.weight).toBe(toy.embed.weight);
    expect(model.adapters).toEqual([]);
  });
});
