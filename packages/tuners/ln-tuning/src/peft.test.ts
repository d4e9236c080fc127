import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { lnTuning } from './ln-tuning.ts';

testAgainstPeft({
  tuner: lnTuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['ln-tuning-llama', 'ln-tuning-gpt2', 'ln-tuning-tied'],
});
