import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testHost } from '../test/host.ts';
import { texts, writeTinyModel } from '../test/tiny-model.ts';
import { runCli } from './cli.ts';
import { tuningFile } from './run/tuning.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
const cacheBefore = process.env.XDG_CACHE_HOME;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-tuning-'));
  process.env.XDG_CACHE_HOME = at('cache');
  writeTinyModel(at('model'));
  writeFileSync(at('data.jsonl'), texts(8));
});
afterAll(() => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(root, { recursive: true, force: true });
});

const train = async (output: string): Promise<{ code: number; stderr: string }> => {
  const host = testHost();
  const flags = { model: at('model'), data: at('data.jsonl'), output: at(output), steps: '1' };
  const argv = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  return { code: await runCli(['train', ...argv, '--json'], host), stderr: host.stderr() };
};
const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

test('doctor --tune keeps what it measured, a training takes it along, and damage is named', async () => {
  const host = testHost();
  expect(await runCli(['doctor', '--tune', '--budget', '1', '--json'], host)).toBe(0);
  const { tuning } = host.events().at(-1) as { tuning?: { choices: readonly object[] } };
  expect(tuning?.choices.length).toBeGreaterThan(0);
  expect(json(tuningFile())).toEqual(tuning);

  expect(await train('tuned')).toMatchObject({ code: 0 });
  expect(json(at('tuned', 'tuning.json'))).toEqual(tuning);

  writeFileSync(tuningFile(), '{"adapter": 1}');
  const { code, stderr } = await train('damaged');
  expect(code).toBe(2);
  expect(stderr).toContain(`${tuningFile()}: this is not what graft doctor --tune writes`);
  expect(existsSync(at('damaged'))).toBe(false);
});
