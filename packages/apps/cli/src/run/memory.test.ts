/** Blocks that are computed again as the memory of training asks for it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, resultOf } from '../../test/run-cli.ts';
import { texts, writeTinyModel } from '../../test/tiny-model.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-memory-'));
  writeTinyModel(at('model'), { num_hidden_layers: 4, hidden_size: 64, intermediate_size: 512 });
  writeFileSync(at('data.jsonl'), texts(24));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const flags = (change: Record<string, string> = {}): string[] =>
  Object.entries({
    model: at('model'),
    data: at('data.jsonl'),
    output: at('run'),
    'held-out': '0',
    steps: '3',
    'learning-rate': '1e-2',
    warmup: '0',
    ...change,
  }).flatMap(([flag, value]) => [`--${flag}`, value]);

interface Planned {
  readonly bytes: { readonly peak: number };
  readonly recompute: number | 'all';
  readonly fits: boolean;
  readonly problems: readonly string[];
}
const planned = async (change: Record<string, string> = {}) =>
  (await resultOf('plan', ...flags(change))) as unknown as Planned;

const lossesOf = (run: string): number[] =>
  readFileSync(at(run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; loss: number })
    .flatMap(({ event, loss }) => (event === 'step' ? [loss] : []));

test('a run within less memory has the same losses', async () => {
  const none = await planned();
  const all = await planned({ recompute: 'all' });
  expect(none.recompute).toBe(0);
  expect(all.bytes.peak).toBeLessThan(0.8 * none.bytes.peak);
  const memory = Math.round((none.bytes.peak + all.bytes.peak) / 2);
  const some = await planned({ memory: String(memory) });
  expect(some).toMatchObject({ fits: true, problems: [] });
  expect(some.recompute).toBeGreaterThanOrEqual(1);
  expect(some.bytes.peak).toBeLessThanOrEqual(memory);
  // enough memory changes nothing
  expect(await planned({ memory: '1GB' })).toMatchObject({ recompute: 0, bytes: none.bytes });

  const free = await resultOf('train', ...flags({ output: at('free') }));
  const tight = await resultOf('train', ...flags({ output: at('tight'), memory: String(memory) }));
  const explicit = await resultOf('train', ...flags({ output: at('explicit'), recompute: 'all' }));
  expect(tight.peakBytes).toBeLessThan(free.peakBytes as number);
  expect(explicit.peakBytes).toBeLessThan(tight.peakBytes as number);
  const losses = lossesOf('free');
  expect(losses).toHaveLength(3);
  expect(losses[0]! - losses[2]!).toBeGreaterThan(0.01);
  for (const run of ['tight', 'explicit'])
    for (const [i, loss] of lossesOf(run).entries()) expect(Math.abs(loss - losses[i]!)).toBeLessThan(1e-5);
}, 240_000);

test('where memory cannot be reached, the least is told', async () => {
  const least = (await planned({ recompute: 'all' })).bytes.peak;
  const plan = await planned({ memory: '10kB' });
  expect(plan).toMatchObject({ fits: false, recompute: 'all' });
  expect(plan.problems[0]).toContain(`(${least} bytes), with all blocks computed again, and may take 10 kB`);
  const failed = await fail('train', ...flags({ output: at('none'), memory: '10kB' }), '--quiet');
  expect(failed.code).toBe(2);
  expect((await planned({ memory: String(least) })).fits).toBe(true);
}, 120_000);
