import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { hra, hraConfig } from './hra.ts';

testTuner({
  name: 'HRA',
  tuner: hra,
  config: () => hraConfig({ r: 4 }),
  parameterCount: (model) => defaultLayers(model).reduce((sum, { inFeatures }) => sum + 4 * inFeatures, 0),
  wrongTargets: { config: hraConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
});
