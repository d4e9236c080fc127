import { Linear } from '@graftjs/nn';
import { attentionTargets } from '@graftjs/peft';
import { testTuner } from '@graftjs/tuner-tests';
import { vera, veraConfig } from './vera.ts';

const r = 6;

testTuner({
  name: 'VeRA',
  tuner: vera,
  config: () => veraConfig({ r }),
  // λ_d and λ_b of each target
  parameterCount: (model) => {
    let count = 0;
    for (const [path, module] of model.namedModules()) {
      const names = attentionTargets[model.config.modelType] as readonly string[];
      if (module instanceof Linear && names.some((name) => path.endsWith(`.${name}`)))
        count += r + module.outFeatures;
    }
    return count;
  },
  wrongTargets: { config: veraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
  learningRate: 0.2,
});
