import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { gralora, graloraConfig } from './tuner.ts';

const plain = { r: 4, alpha: 8 };

testTuner({
  name: 'GraLoRA',
  tuner: gralora,
  config: () => graloraConfig(plain),
  parameterCount: (model) =>
    defaultLayers(model).reduce((n, { inFeatures, outFeatures }) => n + 4 * (inFeatures + outFeatures), 0),
  wrongTargets: { config: graloraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});

test('refuses what cannot be cut so', () => {
  expect(() => graloraConfig({ r: 5 })).toThrow(/r: must be a multiple of gralora_k = 2/);
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof gralora.attach>[2];
  expect(() => gralora.attach(smallModel('llama'), graloraConfig({ r: 6, graloraK: 3 }), context)).toThrow(
    /gralora_k: must divide both sizes of model.layers.0.self_attn.q_proj/,
  );
});
