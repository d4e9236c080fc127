import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testEncoderAgainstPeft } from '@graftjs/tuner-tests';
import { ia3 } from './index.ts';

testEncoderAgainstPeft({
  tuner: ia3,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['ia3-bert-sequence', 'ia3-roberta-sequence'],
});
