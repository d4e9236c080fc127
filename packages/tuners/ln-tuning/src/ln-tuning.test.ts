import { testTuner } from '@graftjs/tuner-tests';
import { lnTuning, lnTuningConfig } from './ln-tuning.ts';

testTuner({
  name: 'layer-norm tuning',
  tuner: lnTuning,
  config: () => lnTuningConfig(),
  // 16 weights a norm: two in each of two blocks and the last; GPT-2's have biases, and Qwen2's default is one a block
  parameterCount: (model) =>
    ({ llama: 5 * 16, gpt2: 5 * 32, qwen2: 2 * 16, t5: 7 * 16 })[model.config.modelType]!,
  wrongTargets: { config: lnTuningConfig({ targetModules: ['ln_3'] }), message: /ln_3/ },
  learningRate: 0.1,
});
