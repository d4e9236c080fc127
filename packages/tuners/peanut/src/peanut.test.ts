import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { peanut, peanutConfig } from './tuner.ts';

testTuner({
  name: 'PEANuT',
  tuner: peanut,
  config: () => peanutConfig({ r: 4, depth: 1, actFn: 'silu' }),
  // A and B, an encoder and a decoder
  parameterCount: (model) =>
    defaultLayers(model).reduce((n, { outFeatures }) => n + 2 * 4 * outFeatures + 2 * 4 * 4, 0),
  wrongTargets: { config: peanutConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});

test('refuses non-linearities that it does not have, by name', () => {
  expect(() => peanut.parseConfig({ act_fn: 'xielu' })).toThrow(/act_fn: must be one of .*"relu"/);
});
