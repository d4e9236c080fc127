import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { ia3 } from './ia3.ts';

testAgainstPeft({
  tuner: ia3,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['ia3-llama', 'ia3-gpt2', 'ia3-biases', 'ia3-tied', 'ia3-t5', 'ia3-t5-gated'],
});
