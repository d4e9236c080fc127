import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { c3a, c3aConfig } from './c3a.ts';

const blockSize = 8;

testTuner({
  name: 'C³A',
  tuner: c3a,
  // kernels of zeros: those that PEFT starts with change the model
  config: () =>
    c3aConfig({
      blockSize,
      initWeights: true,
      targetModules: ['mlp.c_proj', 'v_proj', 'v', 'wo', 'query_key_value'],
    }),
  // one number in `blockSize` weights
  parameterCount: (model) => {
    let count = 0;
    for (const [path, module] of model.namedModules())
      if (module instanceof Linear && /\.(mlp\.c_proj|v_proj|v|wo|query_key_value)$/.test(path))
        count += (module.inFeatures * module.outFeatures) / blockSize;
    return count;
  },
  wrongTargets: { config: c3aConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
  // the change is divided by the number of inputs
  learningRate: 0.3,
});
