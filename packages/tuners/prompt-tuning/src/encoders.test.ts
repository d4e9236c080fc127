import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testEncoderAgainstPeft } from '@graftjs/tuner-tests';
import { promptTuning } from './index.ts';

testEncoderAgainstPeft({
  tuner: promptTuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['prompt-bert-sequence'],
});
