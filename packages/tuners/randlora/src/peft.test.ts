import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { randlora } from './randlora.ts';

testAgainstPeft({
  tuner: randlora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['randlora-llama', 'randlora-gpt2', 'randlora-biases', 'randlora-drawn', 'randlora-sparse'],
});
