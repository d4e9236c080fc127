import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testEncoderAgainstPeft } from '@graftjs/tuner-tests';
import { lora } from './index.ts';

testEncoderAgainstPeft({
  tuner: lora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: [
    'lora-bert-sequence',
    'lora-bert-tokens',
    'lora-bert-masked-lm',
    'lora-roberta-sequence',
    'lora-distilbert-sequence',
  ],
});
