import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { embeddings } from './embedding.ts';
import { loraWith } from './lora.ts';

testAgainstPeft({
  tuner: loraWith(embeddings),
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: [
    'lora-embedding',
    'lora-embedding-tied',
    'lora-embedding-dora',
    'lora-t5',
    'lora-t5-all-linear',
    'lora-t5-gated',
  ],
});
