import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstPeft } from '@graftjs/tuner-tests';
import { vbLora } from './vb-lora.ts';

testAgainstPeft({
  tuner: vbLora,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  cases: ['vb-lora-llama', 'vb-lora-gpt2', 'vb-lora-biases', 'vb-lora-top-k'],
});
