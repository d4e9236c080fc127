import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import type { FirstStep, FirstStepRequest } from './first-step-own.ts';
import { shapes, smallLlama } from './models.ts';
import type { Row } from './report.ts';

const cases: readonly (FirstStepRequest & { readonly name: string })[] = [
  { name: 'tiny-llama, 8 x 128 tokens', json: smallLlama(192, 3, 6, 3), batch: 8, tokens: 128 },
  { name: 'DistilGPT-2, 32 tokens', json: shapes['DistilGPT-2'], batch: 1, tokens: 32 },
];

/** Time to a first LoRA step in a new process: with the driver's cache of kernels empty, then with it filled. */
export async function benchFirstStep(_: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, ...request } of cases) {
    const cache = await mkdtemp(join(tmpdir(), 'graft-bench-'));
    try {
      for (const state of ['cold', 'warm'])
        rows.push({ group: 'first-step', name: `${name}, ${state}`, ...(await firstStep(request, cache)) });
    } finally {
      await rm(cache, { recursive: true });
    }
  }
  return rows;
}

/** @param cache where Mesa keeps compiled kernels; drivers of others keep theirs elsewhere, so that both rows are warm */
function firstStep(request: FirstStepRequest, cache: string): Promise<FirstStep> {
  const child = fork(fileURLToPath(new URL('first-step-own.ts', import.meta.url)), {
    env: { ...process.env, MESA_SHADER_CACHE_DIR: cache },
    stdio: ['ignore', process.stderr, 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('message', (result: FirstStep) => resolve(result));
    child.once('exit', (code) => reject(new Error(`the process that is measured ended with code ${code}`)));
    child.send(request);
  });
}
