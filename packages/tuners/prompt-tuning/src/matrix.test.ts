import { testTuner } from '@graftjs/tuner-tests';
import {
  multitaskPromptTuning,
  multitaskPromptTuningConfig,
  promptTuning,
  promptTuningConfig,
} from './index.ts';

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

testTuner({
  name: 'Multitask prompt tuning',
  tuner: multitaskPromptTuning,
  config: () => multitaskPromptTuningConfig({ numVirtualTokens: 3, numRanks: 2 }),
  parameterCount: ({ config: { hiddenSize: d } }) => 3 * d + 3 * 2 + 2 * d,
  skip: {
    'starts as the base': 'virtual tokens take part in attention from the start',
    merges: 'a prompt is no change of weights',
  },
  learningRate: 0.05,
});
