import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { vera } from './vera.ts';

testAgainstPeft({
  tuner: vera,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['vera-llama', 'vera-gpt2', 'vera-biases', 'vera-drawn'],
});
