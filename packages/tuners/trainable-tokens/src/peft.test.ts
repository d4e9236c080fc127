import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { loraWith } from '@graftjs/lora';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { tokenRows } from './beside-lora.ts';
import { trainableTokens } from './trainable-tokens.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));

testAgainstPeft({
  tuner: trainableTokens,
  fixtures,
  cases: ['trainable-tokens-default', 'trainable-tokens-tied', 'trainable-tokens-positions'],
});
testAgainstPeft({ tuner: loraWith(tokenRows), fixtures, cases: ['lora-tokens', 'lora-tokens-tied'] });
