/** `npm run bench`: see `usage` in arguments.ts. */
import { openGpu } from '@graftjs/webgpu';
import { providePeers } from '../setup/peers.mjs';
import { type Arguments, readArguments, usage } from './arguments.ts';
import type { Bench } from './bench.ts';
import { type Conditions, writeDocument } from './document.ts';
import { groups } from './groups.ts';
import { load, processor } from './machine.ts';
import { Peer } from './peer.ts';
import { type Row, table } from './report.ts';

/** The command without paths of this machine. */
const commandOf = (args: readonly string[]): string =>
  ['npm run bench', ...(args.length > 0 ? ['--'] : []), ...args]
    .map((arg, i, all) => (['--python', '--torchlette'].includes(all[i - 1] ?? '') ? 'PATH' : arg))
    .join(' ');

/** The other libraries, and why some are missing. */
async function startPeers({ peers, torchlette }: Arguments, patient: boolean) {
  const started: Peer[] = [];
  const missing: Record<string, string> = {};
  for (const library of peers ? await providePeers(torchlette) : [])
    try {
      if ('failure' in library) throw new Error(library.failure);
      started.push(await Peer.start(library.name, library.version, library.script, patient));
    } catch (error) {
      missing[library.name] = (error as Error).message;
    }
  return { peers: started, missing };
}

/** The rows of a group; none where it fails, so that the others are measured. */
async function measureGroup(name: string, bench: Bench): Promise<Row[]> {
  try {
    return await groups[name]!.measure(bench);
  } catch (error) {
    console.error(`bench: ${name} failed: ${(error as Error).stack}`);
    process.exitCode = 1;
    return [];
  }
}

async function measure(wanted: Arguments): Promise<void> {
  const { only, rounds, json, markdown, python } = wanted;
  const gpu = await openGpu();
  const { peers, missing } = await startPeers(wanted, gpu.traits.isCpu);
  const conditions: Conditions = {
    command: commandOf(process.argv.slice(2)),
    date: new Date().toISOString().slice(0, 10),
    adapter: gpu.traits.description,
    processor: processor(),
    node: process.version,
    peers: Object.fromEntries(peers.map(({ name, version }) => [name, version])),
    missing,
    load: load(),
  };
  for (const [name, reason] of Object.entries(missing))
    console.error(`bench: ${name} is not measured: ${reason}`);
  const rows: Row[] = [];
  for (const name of only) {
    const measured = await measureGroup(name, { gpu, rounds, peers, ...(python ? { python } : {}) });
    rows.push(...measured);
    if (json) for (const row of measured) console.log(JSON.stringify({ event: 'measurement', ...row }));
    else if (measured.length > 0)
      console.log(`\n${name}, ${conditions.adapter}, medians of ${rounds} rounds\n\n${table(measured)}`);
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
