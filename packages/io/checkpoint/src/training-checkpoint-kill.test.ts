import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { nodeFolder } from './node.ts';
import { latestValidCheckpoint, writeCheckpoint } from './training-checkpoint.ts';

const child = fileURLToPath(new URL('../test/save-forever.ts', import.meta.url));
const KILLS = 8;

/** Kills the child `delay` ms after it reported so many more steps; the last step it reported. */
async function killAfter(folder: string, steps: number, delay: number): Promise<number> {
  const saving = spawn(process.execPath, ['--import', 'tsx', child, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const closed = once(saving, 'close');
  const reported = new Promise<void>((resolve) => {
    saving.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.split('\n').length > steps + 1) resolve();
    });
  });
  await Promise.race([reported, closed]);
  await new Promise((resolve) => setTimeout(resolve, delay));
  saving.kill('SIGKILL');
  await closed;
  expect(saving.signalCode).toBe('SIGKILL');
  return Number(output.split('\n').slice(1, -1).at(-1) ?? 0);
}

test('a process killed while it saves, again and again: the latest checkpoint always loads', async () => {
  const root = mkdtempSync(join(tmpdir(), 'graft-kill-'));
  try {
    let newest = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      // At moments that differ in every run, from before the first save to within a later one.
      const reported = await killAfter(root, kill % 3, Math.random() * 60);
      newest = Math.max(newest, reported);
      const { checkpoint } = await latestValidCheckpoint(nodeFolder(root));
      if (newest === 0 && !checkpoint) continue;
      // What was reported stands; one more may have been finished but not reported.
      expect(checkpoint!.step).toBeGreaterThanOrEqual(newest);
      expect(checkpoint!.step).toBeLessThanOrEqual(newest + 1);
      const { step } = checkpoint!;
      newest = step;
      expect(JSON.parse(await checkpoint!.folder.readText('trainer_state.json'))).toEqual({ step });
      const weights = await (await checkpoint!.open('adapter_model.safetensors')).read(0, 300_000);
      expect(weights.every((byte) => byte === step % 256)).toBe(true);
    }
    // kill % 3, summed.
    expect(newest).toBeGreaterThanOrEqual(7);
    await writeCheckpoint(nodeFolder(root), newest + 1, {}, { keep: 1 });
    expect(await nodeFolder(root).list()).toEqual([`checkpoint-${newest + 1}`]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
