import { gradients, type HostArray } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { add, distance, loss, model, output, runtime, toy, train, useToy, valuesOf } from '../test/toy.ts';

useToy();

describe('a new adapter', () => {
  test.each([true, 'gaussian'] as const)('leaves the output as it was, to the bit (%s)', async (init) => {
    const before = await output();
    await add('default', { initLoraWeights: init });
    expect(await output()).toEqual(before);
    expect(await output(toy, { training: true })).toEqual(before);
  });

  test('changes it where it starts at random', async () => {
    const before = await output();
    await add('default', { initLoraWeights: false });
    expect(distance(await output(), before)).toBeGreaterThan(1e-3);
  });

  test('has A uniform in ±1/√in and B zero; A of gaussian deviates by 1/r', async () => {
    await add('default', { r: 64, targetModules: ['q_proj'] });
    const [a, b] = await valuesOf(model.trainableParameters().values());
    expect(a!.length).toBe(64 * 8);
    const bound = 1 / Math.sqrt(8);
    expect(Math.max(...a!.map(Math.abs))).toBeLessThanOrEqual(bound);
    const deviation = (v: HostArray): number =>
      Math.sqrt(Array.from(v).reduce((sum, x) => sum + x * x, 0) / v.length);
    // A standard error of the deviation of 512 numbers is 2 to 3 %.
    expect(Math.abs(deviation(a!) / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.1);
    expect(b!.every((x) => x === 0)).toBe(true);

    await add('other', { r: 64, targetModules: ['q_proj'], initLoraWeights: 'gaussian' });
    model.setAdapter('other');
    const [gaussian] = await valuesOf(model.trainableParameters().values());
    expect(Math.abs(deviation(gaussian!) * 64 - 1)).toBeLessThan(0.1);
    expect(Math.max(...gaussian!.map(Math.abs)) * 64).toBeGreaterThan(2);
  });

  test('starts from its seed alone', async () => {
    await add('a', {}, 1);
    await add('b', {}, 1);
    await add('c', {}, 2);
    const [a, b, c] = await Promise.all(
      ['a', 'b', 'c'].map((name) => {
        model.setAdapter(name);
        return valuesOf(model.trainableParameters().values());
      }),
    );
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
  });

  test('alone is trained: the base stays the same to the bit, and its parameters have names', async () => {
    await add('default');
    const frozen = toy.parameters();
    expect(frozen.every((p) => !p.trainable)).toBe(true);
    const before = await valuesOf(frozen);
    const trained = model.trainableParameters();
    expect([...trained.keys()].slice(0, 2)).toEqual([
      'base_model.model.layers.0.q_proj.lora_A.default.weight',
      'base_model.model.layers.0.q_proj.lora_B.default.weight',
    ]);
    expect(trained.size).toBe(12);
    const [q, v, o] = [4 * (8 + 8), 4 * (8 + 4), 4 * (4 + 8)];
    expect(model.parameterCounts()).toEqual({
      trainable: 2 * (q + v + o),
      total: 2 * (q + v + o) + frozen.reduce((n, p) => n + p.size, 0),
    });
    const start = await valuesOf(trained.values());
    const wanted = gradients(loss(toy), frozen);
    expect(wanted.length).toBe(frozen.length);
    await train(model);
    expect(await valuesOf(frozen)).toEqual(before);
    const end = await valuesOf(trained.values());
    for (const i of end.keys()) expect(distance(end[i]!, start[i]!), `parameter ${i}`).toBeGreaterThan(1e-3);
  });

  test('costs no gradient of a frozen weight: the program grows by the products of A and B only', async () => {
    await add('default', { targetModules: ['layers.1.o_proj'] });
    const trained = [...model.trainableParameters().values()];
    const program = await runtime.compile({ outputs: gradients(loss(toy), trained) });
    const all = await runtime.compile({ outputs: gradients(loss(toy), [...toy.parameters(), ...trained]) });
    expect(program.explain().flops).toBeLessThan(0.7 * all.explain().flops);
  });
});
