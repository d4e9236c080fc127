import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const hold = new URL('hold.ts', import.meta.url).href;
const bin = fileURLToPath(new URL('../src/bin.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the command as a process of its own. Where `stop` is given, the process stands still when it prints
 * `stop.at`, until `stop.act` has been done to it.
 */
export function spawnCli(
  argv: readonly string[],
  options: {
    readonly env?: Record<string, string>;
    readonly stop?: { readonly at: string; readonly act: (child: ChildProcess) => void };
  } = {},
): Promise<Ended> {
  const { env, stop } = options;
  const folder = mkdtempSync(join(tmpdir(), 'graft-spawn-'));
  const acted = join(folder, 'acted');
  const preload = ['--conditions=@graftjs/source', '--import', 'tsx', ...(stop ? ['--import', hold] : [])];
  const child = spawn(process.execPath, [...preload, bin, ...argv], {
    env: { ...process.env, ...(stop && { HOLD_AT: stop.at, HOLD_UNTIL: acted }), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let waiting = stop;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (!waiting || !stdout.includes(waiting.at)) return;
    waiting.act(child);
    waiting = undefined;
    writeFileSync(acted, '');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise<Ended>((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => done({ code, signal, stdout, stderr }));
  }).finally(() => rmSync(folder, { recursive: true, force: true }));
}
