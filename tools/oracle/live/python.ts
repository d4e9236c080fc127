import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const oracle = fileURLToPath(new URL('..', import.meta.url));

/** What a job says for Python. */
export interface Job {
  readonly dir: string;
  readonly base: string;
  readonly peft_type: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly seed: number;
}

/** What became of a job there. */
export interface JobReport {
  readonly dir: string;
  readonly problems: readonly string[];
  /** How far logits are apart, relative to their size, and how far the adapter moves them. */
  readonly relative?: number;
  readonly moved?: number;
}

/** A Python that has what the oracle needs: the one that is named, that of `.venv` here, or `python3`. */
export function findPython(named: string | undefined): string | undefined {
  const own = join(oracle, '.venv/bin/python');
  const candidates = named === undefined ? [...(existsSync(own) ? [own] : []), 'python3'] : [named];
  return candidates.find(
    (python) => spawnSync(python, ['-c', 'import torch, transformers, peft, safetensors']).status === 0,
  );
}

export const whatToInstall = `there is no Python with torch, transformers and peft here. Install them:

  python3 -m venv tools/oracle/.venv
  tools/oracle/.venv/bin/pip install -r tools/oracle/requirements.txt

or name another one: npm run oracle -- --python /path/to/python`;

/** Runs live.py on jobs, and reports each as it is done. @throws Error where Python ends before all are */
export async function runPython(
  python: string,
  what: 'make' | 'verify',
  jobs: readonly Job[],
  report: (each: JobReport) => void,
): Promise<void> {
  if (jobs.length === 0) return;
  const file = join(mkdtempSync(join(tmpdir(), 'graft-oracle-')), 'jobs.json');
  writeFileSync(file, JSON.stringify(jobs));
  const env = { ...process.env, PYTHONHASHSEED: '0', HF_HUB_OFFLINE: '1', PYTHONWARNINGS: 'ignore' };
  const child = spawn(python, ['live.py', what, file], { cwd: oracle, env });
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  let done = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) continue;
    done++;
    report(JSON.parse(line) as JobReport);
  }
  if (done < jobs.length)
    throw new Error(`live.py ${what} ended after ${done} of ${jobs.length} jobs: ${said.slice(-2000)}`);
}
