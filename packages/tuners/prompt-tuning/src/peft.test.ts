import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testPromptAgainstPeft } from '@graftjs/tuner-tests';
import { multitaskPromptTuning, promptTuning } from './index.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));

testPromptAgainstPeft({
  tuner: promptTuning,
  fixtures,
  cases: [
    'prompt-tuning-random',
    'prompt-tuning-vocab',
    'prompt-tuning-head',
    'prompt-tuning-window',
    'prompt-tuning-t5',
    'prompt-tuning-t5-encoder',
  ],
});

testPromptAgainstPeft({
  tuner: multitaskPromptTuning,
  fixtures,
  cases: ['prompt-tuning-multitask', 'prompt-tuning-t5-multitask'],
});
