import { testTuner } from '@graftjs/tuner-tests';
import { trainableTokens, trainableTokensConfig } from './trainable-tokens.ts';

testTuner({
  name: 'trainable tokens',
  tuner: trainableTokens,
  config: () => trainableTokensConfig({ tokenIndices: [3, 5, 7, 8, 11] }),
  parameterCount: (model) => 5 * model.config.hiddenSize,
  wrongTargets: {
    config: trainableTokensConfig({ tokenIndices: [3], targetModules: ['wte_tokns'] }),
    message: /wte_tokns/,
  },
});
