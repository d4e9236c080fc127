import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testPromptAgainstPeft } from '@graftjs/tuner-tests';
import { cartridge, prefixTuning } from './index.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));

testPromptAgainstPeft({
  tuner: prefixTuning,
  fixtures,
  cases: [
    'prefix-tuning-llama',
    'prefix-tuning-headdim',
    'prefix-tuning-window',
    'prefix-tuning-gpt2',
    'prefix-tuning-projection',
    'prefix-tuning-zero',
    'prefix-tuning-t5',
    'prefix-tuning-t5-projection',
  ],
});

testPromptAgainstPeft({
  tuner: cartridge,
  fixtures,
  cases: [
    'prefix-tuning-cartridge',
    'prefix-tuning-cartridge-gpt2',
    'prefix-tuning-cartridge-tokens',
    'prefix-tuning-cartridge-t5',
  ],
  partsInFile: true,
});
