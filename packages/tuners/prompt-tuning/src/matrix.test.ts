import { testTuner } from '@graftjs/tuner-tests';
import { promptTuning, promptTuningConfig } from './index.ts';

testTuner({
  name: 'Prompt tuning',
  tuner: promptTuning,
  config: () => promptTuningConfig({ numVirtualTokens: 3, promptTuningInit: 'SAMPLE_VOCAB' }),
  parameterCount: ({ config }) => 3 * config.hiddenSize,
  skip: {
    'starts as the base': 'virtual tokens take part in attention from the start',
    merges: 'a prompt is no change of weights',
  },
});
