import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { road, roadConfig } from './road.ts';

testTuner({
  name: 'RoAd',
  tuner: road,
  config: () => roadConfig({ groupSize: 4 }),
  // an angle and a scale for each pair of outputs
  parameterCount: (model) => defaultLayers(model).reduce((sum, { outFeatures }) => sum + outFeatures, 0),
  wrongTargets: { config: roadConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.1,
});

test('refuses groups that do not divide the outputs', () => {
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof road.attach>[2];
  expect(() => road.attach(smallModel('llama'), roadConfig(), context)).toThrow(
    /group_size: does not divide the 16 outputs of model.layers.0.self_attn.q_proj/,
  );
  expect(() => roadConfig({ groupSize: 5 })).toThrow(/even/);
});
