import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { waveft, waveftConfig } from './waveft.ts';

const nFrequency = 30;

testTuner({
  name: 'WaveFT',
  tuner: waveft,
  config: () =>
    waveftConfig({
      nFrequency,
      scaling: 3,
      targetModules: ['mlp.c_proj', 'v_proj', 'v', 'wo', 'query_key_value'],
    }),
  parameterCount: (model) =>
    [...model.namedModules()].filter(
      ([path, module]) =>
        module instanceof Linear && /\.(mlp\.c_proj|v_proj|v|wo|query_key_value)$/.test(path),
    ).length * nFrequency,
  wrongTargets: { config: waveftConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});
