import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { miss, missConfig } from './miss.ts';

testTuner({
  name: 'MiSS',
  tuner: miss,
  config: () => missConfig({ r: 5 }),
  parameterCount: (model) => defaultLayers(model).reduce((sum, { outFeatures }) => sum + 5 * outFeatures, 0),
  wrongTargets: { config: missConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});

test.each([
  [{}, /r: is more than the inputs of model.layers.0.self_attn.q_proj, which has 16 inputs and 16 outputs/],
  [{ r: 4, miniR: 3, initWeights: 'mini' }, /mini_r: does not divide the outputs/],
  [{ r: 5, initWeights: 'bat' }, /"bat" needs/],
] as const)('refuses %j', (options, message) => {
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof miss.attach>[2];
  expect(() => miss.attach(smallModel('llama'), missConfig(options), context)).toThrow(message);
});
