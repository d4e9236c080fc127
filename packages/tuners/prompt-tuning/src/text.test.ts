import { nodeFolder } from '@graftjs/checkpoint/node';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { testPromptOnText } from '@graftjs/tuner-tests';
import { promptTuning, promptTuningConfig } from './index.ts';

testPromptOnText({
  name: 'prompt tuning',
  tuner: promptTuning,
  config: promptTuningConfig({ numVirtualTokens: 8, promptTuningInit: 'SAMPLE_VOCAB' }),
  learningRate: 0.1,
  base: nodeFolder(tinyLlamaFolder),
  fall: 0.05,
});
