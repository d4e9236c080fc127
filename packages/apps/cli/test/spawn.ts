import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../src/bin.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as a process of its own; `onEvent` sees each JSON line of stdout as it comes. */
export function spawnCli(
  argv: readonly string[],
  options: {
    readonly env?: Record<string, string>;
    readonly onEvent?: (event: Record<string, unknown>, child: ChildProcess) => void;
  } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['--conditions=@graftjs/source', '--import', 'tsx', bin, ...argv], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (let end = stdout.indexOf('\n', seen); end >= 0; end = stdout.indexOf('\n', seen)) {
      options.onEvent?.(JSON.parse(stdout.slice(seen, end)) as Record<string, unknown>, child);
      seen = end + 1;
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => done({ code, signal, stdout, stderr }));
  });
}
