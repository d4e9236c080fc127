import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { pvera } from './pvera.ts';
import { vera } from './vera.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));

testAgainstPeft({
  tuner: vera,
  fixtures,
  cases: ['vera-llama', 'vera-gpt2', 'vera-biases', 'vera-drawn'],
});

testAgainstPeft({
  tuner: pvera,
  fixtures,
  cases: ['vera-probabilistic', 'vera-probabilistic-gpt2'],
});
