import { testTuner } from '@graftjs/tuner-tests';
import { fourierft, fourierftConfig } from './fourierft.ts';

const nFrequency = 30;

testTuner({
  name: 'FourierFT',
  tuner: fourierft,
  // a spectrum of zeros: the one that PEFT starts with changes the model
  config: () =>
    fourierftConfig({
      nFrequency,
      initWeights: true,
      targetModules: ['mlp.c_proj', 'v_proj', 'v', 'wo', 'query_key_value'],
    }),
  parameterCount: (model) =>
    [...model.namedModules()].filter(([path]) => /\.(mlp\.c_proj|v_proj|v|wo|query_key_value)$/.test(path))
      .length * nFrequency,
  wrongTargets: { config: fourierftConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});
