import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { deft } from './tuner.ts';

testAgainstPeft({
  tuner: deft,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['deft-llama', 'deft-gpt2', 'deft-biases', 'deft-para'],
});
