import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { tinylora } from './tinylora.ts';

testAgainstPeft({
  tuner: tinylora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['tinylora-llama', 'tinylora-gpt2', 'tinylora-tied', 'tinylora-few'],
});
