import { Context, DropoutSeedError, HostRandom, normalArray } from '@graftjs/nn';
import { type HostArray, Variable } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { add, distance, model, output, runtime, thrown, toy, useToy, valuesOf } from '../test/toy.ts';
import type { LoraOptions } from './config.ts';

useToy();

describe('the change', () => {
  const scaled = async (options: LoraOptions, scale: number): Promise<void> => {
    await add('default', { targetModules: ['layers.0.v_proj'], initLoraWeights: false, ...options });
    const [a, b] = await valuesOf(model.trainableParameters().values());
    const layer = toy.layers[0]!.v_proj;
    const x = new Variable([1, 8], normalArray(8, 1, new HostRandom(3)));
    const xs = (await runtime.read(x)).slice();
    const [got] = await runtime.evaluate([layer.forward(x, new Context())]);
    model.disableAdapters();
    const [base] = await runtime.evaluate([layer.forward(x, new Context())]);
    const r = a!.length / 8;
    for (let o = 0; o < 4; o++) {
      let change = 0;
      for (let k = 0; k < r; k++) {
        let low = 0;
        for (let i = 0; i < 8; i++) low += xs[i]! * a![k * 8 + i]!;
        change += low * b![o * r + k]!;
      }
      expect(Math.abs(got![o]! - (base![o]! + scale * change))).toBeLessThan(2e-6);
    }
  };

  test('is alpha / r · B A x', () => scaled({}, 1.5));
  test('is alpha / √r · B A x with rsLoRA', () => scaled({ useRslora: true }, 3));
  test('has the rank and alpha of the first pattern that matches', () =>
    scaled(
      {
        rankPattern: { 'layers.1.v_proj': 3, v_proj: 8 },
        alphaPattern: { 'layers\\.\\d\\.v_proj': 10 },
      },
      1.25,
    ));

  test('is dropped in training by the seed, and never otherwise', async () => {
    await add('default', { loraDropout: 0.5, initLoraWeights: false });
    const still = await output();
    expect(await output()).toEqual(still);
    const seeded = (seed: number): Promise<HostArray> =>
      output(toy, { training: true, seed: new Variable([2], Uint32Array.of(seed, 0)) });
    expect(await seeded(1)).toEqual(await seeded(1));
    expect(distance(await seeded(1), await seeded(2))).toBeGreaterThan(1e-4);
    expect(distance(await seeded(1), still)).toBeGreaterThan(1e-4);
    expect(await thrown(() => output(toy, { training: true }))).toBeInstanceOf(DropoutSeedError);
  });
});
