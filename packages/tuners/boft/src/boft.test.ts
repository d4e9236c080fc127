import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { boft, boftConfig } from './boft.ts';

testTuner({
  name: 'BOFT',
  tuner: boft,
  config: () => boftConfig({ boftNButterflyFactor: 2 }),
  // two factors of blocks of 4, and a scale for each output
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (sum, { inFeatures, outFeatures }) => sum + 2 * 4 * inFeatures + outFeatures,
      0,
    ),
  wrongTargets: { config: boftConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});

test('takes a size of blocks or their number', () => {
  expect(() => boftConfig({ boftBlockNum: 4 })).toThrow(/exactly one of boft_block_size and boft_block_num/);
  expect(boftConfig({ boftBlockNum: 4, boftBlockSize: 0 }).boftBlockNum).toBe(4);
});

test.each([
  [{ boftBlockSize: 3 }, /3 does not divide/],
  [{ boftBlockSize: 1, boftNButterflyFactor: 2 }, /even size/],
  [{ boftNButterflyFactor: 4 }, /mixes 32/],
])('refuses %j for a layer of 16 inputs', (options, message) => {
  const model = smallModel('llama');
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof boft.attach>[2];
  expect(() => boft.attach(model, boftConfig(options), context)).toThrow(message);
});
