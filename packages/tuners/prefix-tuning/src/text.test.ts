import { nodeFolder } from '@graftjs/checkpoint/node';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { testPromptOnText } from '@graftjs/tuner-tests';
import { prefixTuning, prefixTuningConfig } from './index.ts';

const base = nodeFolder(tinyLlamaFolder);

testPromptOnText({
  name: 'prefix tuning',
  tuner: prefixTuning,
  config: prefixTuningConfig({ numVirtualTokens: 8 }),
  learningRate: 0.05,
  base,
  fall: 0.1,
});

testPromptOnText({
  name: 'prefix tuning with projection',
  tuner: prefixTuning,
  config: prefixTuningConfig({ numVirtualTokens: 8, prefixProjection: true, encoderHiddenSize: 64 }),
  learningRate: 5e-3,
  base,
  fall: 0.1,
});
