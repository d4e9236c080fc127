import { matrixOf } from '@graftjs/decompositions';
import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { adamss, adamssConfig, divide } from './adamss.ts';

const [r, numSubspaces] = [6, 3];

testTuner({
  name: 'AdaMSS',
  tuner: adamss,
  config: () => adamssConfig({ r, numSubspaces }),
  // a row of A for each cluster, a column of B whose parts are all outputs
  parameterCount: (model) =>
    defaultLayers(model).reduce((sum, { outFeatures }) => sum + numSubspaces * r + outFeatures, 0),
  wrongTargets: { config: adamssConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});

test('refuses to prune clusters', () => {
  expect(() => adamssConfig({ useAsa: true })).toThrow(/useAsa|use_asa/);
});

test('refuses ranks above the number of directions', () => {
  const weight = matrixOf(
    8,
    8,
    Array.from({ length: 64 }, (_, i) => Math.sin((i + 1) ** 2)),
  );
  expect(() => divide(weight, adamssConfig({ r: 2, subspaceRank: 3, numSubspaces: 1 }))).toThrow(
    /subspace_rank: is more than the 2 directions/,
  );
});
