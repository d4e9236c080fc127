/**
 * `npm run bench`: measures Graft on this machine's adapter, and other libraries beside it where that is asked for.
 *
 *     npm run bench -- [--json] [--only matmul,attention,lora-step,replay,bundle] [--rounds 7] [--peers] [--markdown]
 *
 * `--peers` installs @tensorflow/tfjs-backend-webgpu and @jax-js/jax into node_modules/.cache and measures them in
 * turn with Graft. `--markdown` writes the figures into docs/benchmarks.md.
 */
import { parseArgs } from 'node:util';
import { openGpu } from '@graftjs/webgpu';
import { providePeers } from '../setup/peers.mjs';
import { benchAttention } from './attention.ts';
import { benchBundle } from './bundle.ts';
import { type Conditions, load, processor, writeDocument } from './document.ts';
import { benchLoraStep } from './lora-step.ts';
import { benchMatmul } from './matmul.ts';
import { Peer } from './peer.ts';
import { benchReplay } from './replay.ts';
import { type Row, table } from './report.ts';

const groups = {
  matmul: benchMatmul,
  attention: benchAttention,
  'lora-step': benchLoraStep,
  replay: benchReplay,
  bundle: benchBundle,
} as const;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(groups).join(',') },
    rounds: { type: 'string', default: '7' },
    peers: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
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
const libraries = values.peers ? await providePeers() : [];
const peers = await Promise.all(
  libraries.map(({ name, version, script }) => Peer.start(name, version, script, gpu.traits.isCpu)),
);
const conditions: Conditions = {
  command: ['npm run bench', ...process.argv.slice(2)].join(' ').replace('bench ', 'bench -- '),
  date: new Date().toISOString().slice(0, 10),
  adapter: gpu.traits.description,
  processor: processor(),
  node: process.version,
  peers: Object.fromEntries(peers.map(({ name, version }) => [name, version])),
  load: load(),
};
const rows: Row[] = [];
for (const name of chosen) {
  const measured = await groups[name as keyof typeof groups]({ gpu, rounds, peers });
  rows.push(...measured);
  if (values.json) for (const row of measured) console.log(JSON.stringify({ event: 'measurement', ...row }));
  else console.log(`\n${name}, ${conditions.adapter}, medians of ${rounds} rounds\n\n${table(measured)}`);
}
if (values.markdown) writeDocument(rows, conditions);
if (values.json) console.log(JSON.stringify({ event: 'result', ...conditions, measurements: rows.length }));
for (const peer of peers) peer.close();
gpu.close();
