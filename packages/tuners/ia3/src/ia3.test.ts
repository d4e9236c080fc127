import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { defaultFeedforward, defaultTargets } from './default-targets.ts';
import { ia3, ia3Config } from './ia3.ts';

testTuner({
  name: '(IA)³',
  tuner: ia3,
  config: () => ia3Config(),
  // one number an output, or one an input where a layer counts as feed-forward
  parameterCount: (model) => {
    const type = model.config.modelType;
    let count = 0;
    for (const [path, module] of model.namedModules()) {
      if (!(module instanceof Linear) || !defaultTargets[type]!.some((name) => path.endsWith(`.${name}`)))
        continue;
      const isFeedforward = defaultFeedforward[type]!.some((name) => path.endsWith(name));
      count += isFeedforward ? module.inFeatures : module.outFeatures;
    }
    return count;
  },
  wrongTargets: { config: ia3Config({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.1,
});
