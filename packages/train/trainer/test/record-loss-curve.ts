/** Writes what the loss-curve test expects: `npx tsx --conditions=@graftjs/source test/record-loss-curve.ts`. */
import { writeFileSync } from 'node:fs';
import { Runtime } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';
import { loraRun } from './lora-run.ts';

const gpu = await openGpu();
const recordedOn = `Node, ${gpu.traits.description}`;
const curve = await loraRun(new Runtime(gpu));
writeFileSync(
  new URL('loss-curve.json', import.meta.url),
  `${JSON.stringify({ recordedOn, ...curve }, null, 2)}\n`,
);
gpu.close();
