import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { oft, oftConfig } from './oft.ts';

testTuner({
  name: 'OFT',
  tuner: oft,
  config: () => oftConfig({ oftBlockSize: 8, useCayleyNeumann: false }),
  // a triangle of 28 for each eight inputs
  parameterCount: (model) =>
    defaultLayers(model).reduce((sum, { inFeatures }) => sum + (inFeatures / 8) * 28, 0),
  wrongTargets: { config: oftConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});

test('takes a number of blocks or their size', () => {
  expect(() => oftConfig({ r: 4 })).toThrow(/exactly one of r and oft_block_size/);
  expect(() => oftConfig({ oftBlockSize: 0 })).toThrow(/exactly one of r and oft_block_size/);
  expect(oftConfig({ r: 4, oftBlockSize: 0 }).r).toBe(4);
});
