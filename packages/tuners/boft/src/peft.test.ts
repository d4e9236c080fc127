import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { boft } from './boft.ts';

testAgainstPeft({
  tuner: boft,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['boft-llama', 'boft-biases', 'boft-tied', 'boft-butterfly'],
});
