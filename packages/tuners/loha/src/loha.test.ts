import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { loha, lohaConfig } from './loha.ts';

testTuner({
  name: 'LoHa',
  tuner: loha,
  // Here the change goes through its factors of rank 4; what PEFT computes with rank 8 goes through the matrix.
  config: () => lohaConfig({ r: 2 }),
  // two pairs of factors for each layer
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (sum, { inFeatures, outFeatures }) => sum + 4 * (inFeatures + outFeatures),
      0,
    ),
  wrongTargets: { config: lohaConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.05,
});
