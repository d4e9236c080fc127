import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { delora, deloraConfig } from './delora.ts';

testTuner({
  name: 'DeLoRA',
  tuner: delora,
  config: () => deloraConfig({ r: 4, deloraLambda: 2 }),
  // A, B and λ
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (sum, { inFeatures, outFeatures }) => sum + 4 * (inFeatures + outFeatures) + 1,
      0,
    ),
  wrongTargets: { config: deloraConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});
