import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { supertuning } from './supertuning.ts';

testAgainstPeft({
  tuner: supertuning,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['supertuning-llama', 'supertuning-rank', 'supertuning-found'],
});
