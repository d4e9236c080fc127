import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { waveft } from './waveft.ts';

testAgainstPeft({
  tuner: waveft,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['waveft-llama', 'waveft-gpt2', 'waveft-biases', 'waveft-db4', 'waveft-direct'],
});
