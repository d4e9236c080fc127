import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testPromptAgainstPeft } from '@graftjs/tuner-tests';
import { pTuning } from './index.ts';

testPromptAgainstPeft({
  tuner: pTuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: [
    'p-tuning-mlp',
    'p-tuning-mlp-gpt2',
    'p-tuning-lstm',
    'p-tuning-lstm-one-layer',
    'p-tuning-t5',
    'p-tuning-t5-lstm',
  ],
});
