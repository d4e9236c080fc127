import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { oft } from './oft.ts';

testAgainstPeft({
  tuner: oft,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['oft-llama', 'oft-biases', 'oft-tied', 'oft-constrained'],
});
