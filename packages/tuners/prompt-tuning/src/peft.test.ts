import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testPromptAgainstPeft } from '@graftjs/tuner-tests';
import { promptTuning } from './index.ts';

testPromptAgainstPeft({
  tuner: promptTuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['prompt-tuning-random', 'prompt-tuning-vocab', 'prompt-tuning-head', 'prompt-tuning-window'],
});
