import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { lokr } from './lokr.ts';

testAgainstPeft({
  tuner: lokr,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['lokr-llama', 'lokr-biases', 'lokr-tied'],
});
