/**
 * `npm run bench`: measures matrix products, attention and a LoRA step on this machine's adapter.
 *
 *     npm run bench -- [--json] [--only matmul,attention,lora-step] [--rounds 7]
 */
import { parseArgs } from 'node:util';
import { openGpu } from '@graftjs/webgpu';
import { benchAttention } from './attention.ts';
import { benchLoraStep } from './lora-step.ts';
import { benchMatmul } from './matmul.ts';
import { type Row, table } from './report.ts';

const groups = { matmul: benchMatmul, attention: benchAttention, 'lora-step': benchLoraStep } as const;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(groups).join(',') },
    rounds: { type: 'string', default: '7' },
  },
});
const chosen = values.only.split(',');
const unknown = chosen.find((name) => !(name in groups));
const rounds = Number(values.rounds);
if (unknown !== undefined || !(Number.isInteger(rounds) && rounds > 0)) {
  console.error(
    unknown === undefined
      ? `bench: --rounds ${values.rounds} is not a whole number from 1 on`
      : `bench: there is no group '${unknown}'; there are ${Object.keys(groups).join(', ')}`,
  );
  process.exit(2);
}

const gpu = await openGpu();
const adapter = gpu.traits.description;
const rows: Row[] = [];
for (const name of chosen) {
  const measured = await groups[name as keyof typeof groups](gpu, rounds);
  rows.push(...measured);
  if (values.json) for (const row of measured) console.log(JSON.stringify({ event: 'measurement', ...row }));
  else console.log(`\n${name}, ${adapter}, medians of ${rounds} rounds\n\n${table(measured)}`);
}
const date = new Date().toISOString().slice(0, 10);
if (values.json)
  console.log(
    JSON.stringify({ event: 'result', adapter, date, node: process.version, measurements: rows.length }),
  );
gpu.close();
