import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { loha } from './loha.ts';

testAgainstPeft({
  tuner: loha,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['loha-llama', 'loha-biases', 'loha-tied'],
});
