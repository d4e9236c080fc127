import { nodeFolder } from '@graftjs/checkpoint/node';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { testPromptOnText } from '@graftjs/tuner-tests';
import { pTuning, pTuningConfig } from './index.ts';

const base = nodeFolder(tinyLlamaFolder);
const common = { numVirtualTokens: 8, encoderHiddenSize: 64 };

testPromptOnText({
  name: 'P-tuning with an MLP',
  tuner: pTuning,
  config: pTuningConfig(common),
  learningRate: 1e-2,
  base,
  fall: 0.05,
});

testPromptOnText({
  name: 'P-tuning with an LSTM',
  tuner: pTuning,
  config: pTuningConfig({ ...common, encoderReparameterizationType: 'LSTM' }),
  learningRate: 5e-3,
  base,
  fall: 0.05,
});
