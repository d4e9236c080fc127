import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { glora } from './tuner.ts';

testAgainstPeft({
  tuner: glora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['glora-llama', 'glora-biases', 'glora-vectors', 'glora-constants', 'glora-shifts'],
});
