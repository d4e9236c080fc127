/** What every kind of LoRA promises: plain, rank-stabilised, with a bias on B, and DoRA. */
import { type MemoryFiles, memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { Context, type Linear, Parameter } from '@graftjs/nn';
import { MergeError } from '@graftjs/peft';
import { type HostArray, Variable } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import {
  add,
  distance,
  fresh,
  model,
  output,
  runtime,
  thrown,
  toy,
  train,
  useToy,
  valuesOf,
} from '../test/toy.ts';
import type { LoraOptions } from './config.ts';

useToy();

const biased = { loraBias: true, targetModules: ['v_proj'] } satisfies LoraOptions;
const kinds: readonly (readonly [string, LoraOptions])[] = [
  ['plain', {}],
  ['rsLoRA', { useRslora: true }],
  ['lora_bias', biased],
  ['DoRA', { useDora: true }],
  ['DoRA with rsLoRA and dropout', { useDora: true, useRslora: true, loraDropout: 0.3 }],
];
const seeded = { training: true, seed: new Variable([2], Uint32Array.of(3, 0)) } as const;
const outputOf = (m: Linear, x: Variable): Promise<HostArray> =>
  runtime.evaluate([m.forward(x, new Context())]).then(([y]) => y!);

describe.each(kinds)('%s', (_, options) => {
  const addTrained = async (name: string, seed: number): Promise<HostArray> => {
    await add(name, { ...options, initLoraWeights: options.loraBias ? true : 'gaussian' }, seed);
    model.setAdapter(name);
    await train(model);
    return output();
  };

  test('starts as the base, to the bit', async () => {
    const before = await output();
    await add('default', options);
    expect(await output()).toEqual(before);
    const dropped = await output(toy, seeded);
    if (options.loraDropout) expect(distance(dropped, before)).toBeLessThan(2e-6);
    else expect(dropped).toEqual(before);
  });

  test('trains all that it has, and nothing else', async () => {
    await add('default', options);
    const frozen = await valuesOf(toy.parameters());
    const trained = model.trainableParameters();
    const start = await valuesOf(trained.values());
    await train(model);
    expect(await valuesOf(toy.parameters())).toEqual(frozen);
    const end = await valuesOf(trained.values());
    for (const [i, name] of [...trained.keys()].entries())
      expect(distance(end[i]!, start[i]!), name).toBeGreaterThan(1e-3);
  });

  test('is switched, disabled and enabled', async () => {
    const base = await output();
    const a = await addTrained('a', 1);
    const b = await addTrained('b', 2);
    expect(distance(a, base)).toBeGreaterThan(1e-3);
    expect(distance(a, b)).toBeGreaterThan(1e-3);
    model.setAdapter('a');
    expect(await output()).toEqual(a);
    model.disableAdapters();
    expect(await output()).toEqual(base);
    model.enableAdapters();
    expect(await output()).toEqual(a);
    model.deleteAdapter('a');
    expect(await output()).toEqual(b);
    model.unload();
    expect(await output()).toEqual(base);
  });

  test.each([false, true])('merges, alone and in any order, and back (safe: %s)', async (safe) => {
    const base = await output();
    const weights = await valuesOf(toy.parameters());
    await addTrained('a', 1);
    await addTrained('b', 2);
    for (const names of [['a'], ['a', 'b'], ['b', 'a']]) {
      model.setAdapter(names);
      const before = await output();
      await model.merge({ safe });
      expect(distance(await output(), before), `${names} merged`).toBeLessThan(2e-5);
      expect(distance(await output(), base)).toBeGreaterThan(1e-3);
      await model.unmerge();
      expect(distance(await output(), before), `${names} unmerged`).toBeLessThan(2e-5);
      for (const [i, values] of (await valuesOf(toy.parameters())).entries())
        expect(distance(values, weights[i]!)).toBeLessThan(2e-6);
    }
    const last = await output();
    await model.mergeAndUnload();
    expect(distance(await output(), last)).toBeLessThan(2e-5);
  });

  test('refuses by safe merging what is not finite, and changes nothing', async () => {
    await addTrained('a', 1);
    const last = [...model.trainableParameters().values()].at(-1)!;
    last.set(new Float32Array(last.size).fill(Number.NaN));
    const weights = await valuesOf(toy.parameters());
    expect(await thrown(() => model.merge({ safe: true }))).toBeInstanceOf(MergeError);
    expect(await valuesOf(toy.parameters())).toEqual(weights);
  });

  test('is saved and loaded to the same bits', async () => {
    const trained = await addTrained('a', 1);
    const files: MemoryFiles = new Map();
    await model.saveAdapter(memoryFolder(files), 'a');
    const other = fresh();
    const report = await other.model.loadAdapter(memoryFolder(files), 'b');
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [] });
    expect(await output(other.toy)).toEqual(trained);
    const again: MemoryFiles = new Map();
    await other.model.saveAdapter(memoryFolder(again), 'b');
    expect(again).toEqual(files);
  });
});

describe('a bias on B', () => {
  test('is scaled like B, and named like it', async () => {
    await add('a', biased);
    expect([...model.trainableParameters().keys()].slice(0, 3)).toEqual([
      'base_model.model.layers.0.v_proj.lora_A.a.weight',
      'base_model.model.layers.0.v_proj.lora_B.a.weight',
      'base_model.model.layers.0.v_proj.lora_B.a.bias',
    ]);
    const tensors = await openSafetensors(
      await memoryFolder(new Map(Object.entries(await model.encodeAdapter('a')))).open(
        'adapter_model.safetensors',
      ),
    );
    expect([...tensors.tensors.keys()]).toContain('base_model.model.layers.0.v_proj.lora_B.bias');
    const layer = toy.layers[0]!.v_proj;
    const x = new Variable([1, 8]);
    const before = await outputOf(layer, x);
    [...model.trainableParameters().values()][2]!.set(Float32Array.of(1, 2, 3, 4));
    const change = (await outputOf(layer, x)).map((y, i) => y - before[i]!);
    expect(distance(change, [1.5, 3, 4.5, 6])).toBeLessThan(1e-6);
  });

  test('starts at random where B does', async () => {
    await add('a', { ...biased, initLoraWeights: false });
    const bias = (await valuesOf(model.trainableParameters().values()))[2]!;
    expect(bias.every((x) => x !== 0 && Math.abs(x) <= 0.5)).toBe(true);
  });

  test('cannot be merged where the base has none, which is said at once', async () => {
    const weights = await valuesOf(toy.parameters());
    const { warnings } = (await add('a', { loraBias: true, targetModules: ['q_proj', 'v_proj'] })) as {
      warnings: string[];
    };
    expect(warnings).toEqual([
      'lora_bias: layers.0.q_proj, layers.1.q_proj have no bias, so the adapter cannot be merged',
    ]);
    expect(await thrown(() => model.merge())).toMatchObject({
      name: 'MergeError',
      message: expect.stringContaining('layers.0.q_proj has no bias'),
    });
    expect(await valuesOf(toy.parameters())).toEqual(weights);
    expect(model.mergedAdapters).toEqual([]);
  });

  test('and trained biases of the base are merged together', async () => {
    await add('a', { ...biased, bias: 'lora_only' });
    await train(model);
    const before = await output();
    await model.mergeAndUnload();
    expect(toy.layers[0]!.v_proj.bias).toBeInstanceOf(Parameter);
    expect(distance(await output(), before)).toBeLessThan(2e-5);
  });
});
