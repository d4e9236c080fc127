import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { adalora, adaloraConfig } from './adalora.ts';
import { defaultTargets } from './default-targets.ts';

const initR = 4;

testTuner({
  name: 'AdaLoRA',
  tuner: adalora,
  config: () => adaloraConfig({ initR, targetR: 2, totalStep: 10 }),
  // P, Λ and Q of each target
  parameterCount: (model) => {
    let count = 0;
    for (const [path, module] of model.namedModules()) {
      const names = defaultTargets[model.config.modelType] as readonly string[];
      if (module instanceof Linear && names.some((name) => path.endsWith(`.${name}`)))
        count += initR * (module.inFeatures + module.outFeatures + 1);
    }
    return count;
  },
  wrongTargets: {
    config: adaloraConfig({ targetModules: ['v_porj'], totalStep: 10, targetR: 2 }),
    message: /v_porj/,
  },
  learningRate: 0.1,
});
