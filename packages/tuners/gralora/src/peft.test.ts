import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { gralora } from './tuner.ts';

testAgainstPeft({
  tuner: gralora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['gralora-llama', 'gralora-gpt2', 'gralora-biases'],
});
