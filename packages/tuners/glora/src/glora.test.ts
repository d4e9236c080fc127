import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { glora, gloraConfig } from './tuner.ts';

testTuner({
  name: 'GLoRA',
  tuner: glora,
  config: () => gloraConfig({ r: 3 }),
  // A and B; and, of a layer with a bias, C, D and E
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (n, { inFeatures, outFeatures, bias }) =>
        n + 2 * 3 * (inFeatures + outFeatures) + (bias ? 3 * (inFeatures + 1) + 2 : 0),
      0,
    ),
  // D multiplies the layer's own bias
  timesZero: /\.glora_D\./,
  wrongTargets: { config: gloraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});

test('refuses a config that trains nothing', () => {
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof glora.attach>[2];
  expect(() => glora.attach(smallModel('llama'), gloraConfig({ configAB: 'none' }), context)).toThrow(
    /config_A_B: leaves nothing to train/,
  );
});
