import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { adalora } from './adalora.ts';

testAgainstPeft({
  tuner: adalora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['adalora-llama', 'adalora-gpt2', 'adalora-biases', 'adalora-masked', 'adalora-emptied'],
});
