import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testEncoderAgainstPeft } from '@graftjs/tuner-tests';
import { prefixTuning } from './index.ts';

testEncoderAgainstPeft({
  tuner: prefixTuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['prefix-bert-sequence'],
});
