import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { hira, hiraConfig } from './tuner.ts';

testTuner({
  name: 'HiRA',
  tuner: hira,
  config: () => hiraConfig({ r: 4 }),
  parameterCount: (model) =>
    defaultLayers(model).reduce((n, { inFeatures, outFeatures }) => n + 4 * (inFeatures + outFeatures), 0),
  wrongTargets: { config: hiraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});

test('refuses ranks by name, which PEFT obeys now and then', () => {
  expect(() => hira.parseConfig({ rank_pattern: { q_proj: 2 } })).toThrow(/rank_pattern/);
});
