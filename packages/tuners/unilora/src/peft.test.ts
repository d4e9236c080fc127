import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { unilora } from './unilora.ts';

testAgainstPeft({
  tuner: unilora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['unilora-llama', 'unilora-gpt2', 'unilora-saved', 'unilora-long'],
});
