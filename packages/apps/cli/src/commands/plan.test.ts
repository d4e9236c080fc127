import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leastTraits } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, resultOf, succeed } from '../../test/run-cli.ts';
import { spawnCli } from '../../test/spawn.ts';
import { texts, writeTinyModel } from '../../test/tiny-model.ts';
import { parseConfig } from '../config/parse.ts';
import { explainRun } from '../run/explain-run.ts';
import { prepareData } from '../run/prepare.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-plan-'));
  writeTinyModel(at('model'));
  writeFileSync(at('data.jsonl'), texts(30));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const flags = (change: Record<string, string> = {}): string[] =>
  Object.entries({
    model: at('model'),
    data: at('data.jsonl'),
    output: at('run'),
    'max-length': '64',
    'held-out': '0.2',
    ...change,
  }).flatMap(([flag, value]) => [`--${flag}`, value]);

interface Planned {
  readonly bytes: Record<string, number>;
  readonly step: Record<string, number>;
  readonly checkpointBytes: number;
}
const planned = async (change: Record<string, string> = {}) =>
  (await resultOf('plan', ...flags(change))) as unknown as Planned & Record<string, unknown>;

describe.each(['1', '2'])('a run of %s batches a step', (accumulate) => {
  test('needs the memory that was planned, and its checkpoints the disk', async () => {
    const change = { accumulate, steps: '1', 'held-out': '0', output: at(`run-${accumulate}`) };
    const { bytes, checkpointBytes, totalSteps } = await planned(change);
    const result = await resultOf('train', ...flags(change));
    expect(totalSteps).toBe(result.steps);
    // Beside what is planned: shapes of kernels, staging, and what is kept for reuse.
    expect(result.peakBytes).toBeGreaterThanOrEqual(bytes.peak!);
    expect(result.peakBytes).toBeLessThan(1.2 * bytes.peak!);
    const folder = at(`run-${accumulate}`, 'checkpoints', 'checkpoint-1');
    const onDisk = readdirSync(folder, { recursive: true })
      .map((name) => statSync(join(folder, name as string)))
      .reduce((sum, found) => sum + (found.isFile() ? found.size : 0), 0);
    // Beside the numbers: names, configurations and digests.
    expect(onDisk - checkpointBytes).toBeGreaterThan(0);
    expect(onDisk - checkpointBytes).toBeLessThan(16_000);
  });
});

test('bytes are told by what they are for', async () => {
  const { bytes, parameters, step, ...rest } = await planned();
  const { total, trainable } = parameters as { total: number; trainable: number };
  expect(bytes.base).toBe(4 * (total - trainable));
  expect(bytes.adapter).toBe(4 * trainable);
  expect(bytes.optimizer).toBeGreaterThanOrEqual(8 * trainable);
  expect(bytes.optimizer).toBeLessThan(8 * trainable + 64);
  expect(bytes.accumulated).toBe(0);
  const { peak, ...parts } = bytes;
  expect(peak).toBe(Object.values(parts).reduce((sum, n) => sum + n, 0));
  expect(rest).toMatchObject({ fits: true, problems: [], device: expect.any(String), packing: false });
  expect(step.submissions).toBe(1);

  const two = await planned({ accumulate: '2' });
  expect(two.bytes.accumulated).toBeGreaterThanOrEqual(4 * trainable);
  expect(two.step.submissions).toBe(3);
  expect(two.step.flops).toBeGreaterThan(1.9 * step.flops!);
  expect((await planned({ r: '16' })).bytes.adapter).toBe(2 * bytes.adapter!);
  expect(readdirSync(root).sort()).not.toContain('run');
});

test('twice the rows cost twice the operations, and packing makes fewer', async () => {
  const [four, eight] = [await planned({ 'batch-size': '4' }), await planned({ 'batch-size': '8' })];
  expect(eight.step.flops! / four.step.flops!).toBeGreaterThan(1.9);
  expect(eight.step.flops! / four.step.flops!).toBeLessThan(2.1);
  const packed = await planned({ packing: 'true', 'batch-size': '2' });
  expect(packed).toMatchObject({ packing: true, step: { batchSize: 2, length: 64 } });
});

test('what a device cannot hold is named', async () => {
  const config = await parseConfig(
    `model: ${at('model')}\noutput: ${at('run')}\ndata: { train: ${at('data.jsonl')}, maxLength: 64 }\n`,
  );
  const quiet = { configure: () => {}, report: () => {}, result: () => {}, fail: () => {}, close: () => {} };
  const data = await prepareData(config, quiet);
  const small = { ...leastTraits, maxBindingSize: 2 ** 16, maxBufferSize: 2 ** 17 };
  const { problems } = await explainRun(data, small);
  expect(problems).toEqual(
    expect.arrayContaining([
      'model.embed_tokens.weight takes 262 kB, more than the 66 kB that a kernel of this device can bind',
      expect.stringMatching(/^a temporary of the kernel ".+" takes /),
      expect.stringMatching(/^temporaries take .* of one buffer of this device/),
    ]),
  );
  expect((await explainRun(data, leastTraits)).problems).toEqual([]);
});

test('no device need be there', async () => {
  const { code, stdout } = await spawnCli(['plan', ...flags(), '--json'], {
    env: { VK_DRIVER_FILES: '/none', VK_ICD_FILENAMES: '/none' },
  });
  expect(code).toBe(0);
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as object;
  expect(result).toMatchObject({ event: 'result', device: null, fits: true });
});

test('people read it, and faults are those of train', async () => {
  const text = (await succeed('plan', ...flags())).stdout();
  expect(text).toMatch(/^a step of the largest batch: \d+ dispatches of \d+ kernels in 1 submissions?, /m);
  expect(text).toMatch(/^it fits: /m);
  expect((await fail('plan', ...flags({ 'target-modules': 'q_porj' }), '--quiet')).code).toBe(2);
  expect((await fail('plan', ...flags({ data: at('none') }), '--quiet')).code).toBe(3);
});
