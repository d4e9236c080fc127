import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { peanut } from './tuner.ts';

testAgainstPeft({
  tuner: peanut,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['peanut-llama', 'peanut-biases', 'peanut-tied'],
});
