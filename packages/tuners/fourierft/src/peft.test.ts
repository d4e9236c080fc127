import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { fourierft } from './fourierft.ts';

testAgainstPeft({
  tuner: fourierft,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['fourierft-llama', 'fourierft-gpt2', 'fourierft-biases'],
});
