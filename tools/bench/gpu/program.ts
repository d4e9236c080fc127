/**
 * What `npm run bench:gpu` packs: the op suite, then every configuration of matrix products, then the benchmark, on
 * the adapter that Dawn finds. One JSON object a line on stdout, the result last; all of them in `--out`, too.
 *
 *     graft-bench.mjs [--out results.jsonl] [--rounds 7] [--only suite,products,matmul,attention,lora-step,replay]
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openGpu } from '@graftjs/webgpu';
import { benchAttention } from '../attention.ts';
import { benchLoraStep } from '../lora-step.ts';
import { processor } from '../machine.ts';
import { benchMatmul } from '../matmul.ts';
import { benchReplay } from '../replay.ts';
import { compareProducts } from './products.ts';
import { runSuite } from './suite.ts';

const groups = {
  suite: runSuite,
  products: compareProducts,
  matmul: benchMatmul,
  attention: benchAttention,
  'lora-step': benchLoraStep,
  replay: benchReplay,
} as const;

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    only: { type: 'string', default: Object.keys(groups).join(',') },
  },
});
const chosen = values.only.split(',');
const unknown = chosen.find((name) => !(name in groups));
const rounds = Number(values.rounds);
if (unknown !== undefined || !(Number.isInteger(rounds) && rounds > 0)) {
  console.error(
    unknown === undefined
      ? `graft-bench: --rounds ${values.rounds} is not a whole number from 1 on`
      : `graft-bench: there is no group '${unknown}'; there are ${Object.keys(groups).join(', ')}`,
  );
  process.exit(2);
}

if (values.out) writeFileSync(values.out, '');
function print(event: object): void {
  const line = JSON.stringify(event);
  console.log(line);
  if (values.out) appendFileSync(values.out, `${line}\n`);
}

const gpu = await openGpu();
const { description, isCpu, subgroupSize, hasF16 } = gpu.traits;
print({
  event: 'device',
  adapter: description,
  isCpu,
  subgroupSize,
  hasF16,
  processor: processor(),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
});
let failures = 0;
for (const name of chosen)
  try {
    for (const row of await groups[name as keyof typeof groups]({ gpu, rounds, peers: [] })) {
      failures += typeof row.failed === 'number' ? row.failed : 0;
      print({ event: 'measurement', ...row });
    }
  } catch (error) {
    failures++;
    print({ event: 'failure', group: name, message: (error as Error).message });
  }
print({ event: 'result', adapter: description, ok: failures === 0, failures });
gpu.close();
process.exitCode = failures === 0 ? 0 : 1;
