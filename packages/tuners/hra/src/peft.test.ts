import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { hra } from './hra.ts';

testAgainstPeft({
  tuner: hra,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['hra-llama', 'hra-biases', 'hra-tied', 'hra-orthogonal'],
});
