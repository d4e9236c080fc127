import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { frod } from './frod.ts';

testAgainstPeft({
  tuner: frod,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['frod-llama', 'frod-gpt2', 'frod-biases'],
});
