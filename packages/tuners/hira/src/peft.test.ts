import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { hira } from './tuner.ts';

testAgainstPeft({
  tuner: hira,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['hira-llama', 'hira-gpt2', 'hira-biases'],
});
