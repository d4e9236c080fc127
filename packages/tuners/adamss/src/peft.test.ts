import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { adamss } from './adamss.ts';

testAgainstPeft({
  tuner: adamss,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['adamss-llama', 'adamss-biases', 'adamss-dynamic'],
});
