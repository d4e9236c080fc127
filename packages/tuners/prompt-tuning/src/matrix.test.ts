import { isEncoderDecoder } from '@graftjs/peft';
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
  learningRate: 0.2,
});

testTuner({
  name: 'Multitask prompt tuning',
  tuner: multitaskPromptTuning,
  config: (model) =>
    multitaskPromptTuningConfig({
      numVirtualTokens: 3,
      numRanks: 2,
      taskType: isEncoderDecoder(model) ? 'SEQ_2_SEQ_LM' : 'CAUSAL_LM',
    }),
  parameterCount: (model) => {
    const [n, d] = [isEncoderDecoder(model) ? 6 : 3, model.config.hiddenSize];
    return n * d + n * 2 + 2 * d;
  },
  skip: {
    'starts as the base': 'virtual tokens take part in attention from the start',
    merges: 'a prompt is no change of weights',
  },
  learningRate: 0.2,
});
