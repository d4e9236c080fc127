/** `npm run bench`: see `usage` in arguments.ts. */
import { openGpu } from '@graftjs/webgpu';
import { providePeers } from '../setup/peers.mjs';
import { type Arguments, readArguments, usage } from './arguments.ts';
import { type Conditions, load, processor, writeDocument } from './document.ts';
import { groups } from './groups.ts';
import { Peer } from './peer.ts';
import { type Row, table } from './report.ts';

async function measure({ only, rounds, json, markdown, ...options }: Arguments): Promise<void> {
  const gpu = await openGpu();
  const libraries = options.peers ? await providePeers() : [];
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
  for (const name of only) {
    const measured = await groups[name]!.measure({ gpu, rounds, peers });
    rows.push(...measured);
    if (json) for (const row of measured) console.log(JSON.stringify({ event: 'measurement', ...row }));
    else console.log(`\n${name}, ${conditions.adapter}, medians of ${rounds} rounds\n\n${table(measured)}`);
  }
  if (markdown) writeDocument(rows, conditions);
  if (json) console.log(JSON.stringify({ event: 'result', ...conditions, measurements: rows.length }));
  for (const peer of peers) peer.close();
  gpu.close();
}

/** Undefined where there is nothing to measure; the exit code is set then. */
function argumentsOrHelp(): Arguments | undefined {
  try {
    const found = readArguments(process.argv.slice(2));
    if (!found) console.log(usage.trimEnd());
    return found;
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    process.exitCode = 2;
    return undefined;
  }
}

const wanted = argumentsOrHelp();
if (wanted) await measure(wanted);
