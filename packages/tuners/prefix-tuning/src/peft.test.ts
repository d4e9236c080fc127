import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testPromptAgainstPeft } from '@graftjs/tuner-tests';
import { prefixTuning } from './index.ts';

testPromptAgainstPeft({
  tuner: prefixTuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: [
    'prefix-tuning-llama',
    'prefix-tuning-headdim',
    'prefix-tuning-window',
    'prefix-tuning-gpt2',
    'prefix-tuning-projection',
    'prefix-tuning-zero',
    'prefix-tuning-t5',
    'prefix-tuning-t5-projection',
  ],
});
