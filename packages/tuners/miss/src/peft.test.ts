import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { miss } from './miss.ts';

testAgainstPeft({
  tuner: miss,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['miss-llama', 'miss-biases', 'miss-tied', 'miss-random'],
});
