import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { c3a } from './c3a.ts';

testAgainstPeft({
  tuner: c3a,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['c3a-llama', 'c3a-biases', 'c3a-tied'],
});
