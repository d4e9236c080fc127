import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { adamss, adamssConfig } from './adamss.ts';

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
