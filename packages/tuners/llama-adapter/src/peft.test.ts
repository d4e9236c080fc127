import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { llamaAdapter } from './llama-adapter.ts';

testAgainstPeft({
  tuner: llamaAdapter,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['llama', 'upper', 'biases', 'mistral', 'gpt2', 'gpt2-variant'].map(
    (name) => `llama-adapter-${name}`,
  ),
});
