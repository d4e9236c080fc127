import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '@graftjs/checkpoint';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestHost, testHost } from '../test/host.ts';
import { texts, tinyGPT2, writeModel } from '../test/tiny-model.ts';
import { runCli } from './cli.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-gpt2-'));
  writeModel(at('model'), tinyGPT2);
  writeFileSync(at('texts.jsonl'), texts(12));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function run(...argv: string[]): Promise<TestHost> {
  const host = testHost();
  expect(await runCli(argv, host), host.stderr()).toBe(0);
  return host;
}

const result = (host: TestHost): Record<string, unknown> => host.events().at(-1)!;

const flags = (output: string): string[] => [
  ...['train', '--model', at('model'), '--data', at('texts.jsonl'), '--output', at(output), '--json'],
  ...['--steps', '12', '--batch-size', '4', '--learning-rate', '3e-2', '--save-every', '3'],
];

test('a GPT-2 folder trains with its own dropout, resumes bit for bit, generates and merges', async () => {
  const host = await run(...flags('run'));
  const losses = host.events().flatMap(({ event, loss }) => (event === 'step' ? [loss as number] : []));
  expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.5);
  expect(host.events().map(({ message }) => message)).toContain(
    'fan_in_fan_out is false, but there are targets that store weights as [in, out] (Conv1D): set to true',
  );
  const config = JSON.parse(readFileSync(at('run/adapter/adapter_config.json'), 'utf8'));
  expect(config.fan_in_fan_out).toBe(true);
  expect(config.target_modules).toHaveLength(4);

  const stopped = testHost({
    onOut: (text, self) => {
      if (text.includes('"event":"step","step":5,')) self.interrupt();
    },
  });
  expect(await runCli(flags('stopped'), stopped)).toBe(130);
  await run('resume', at('stopped'), '--json');
  expect(readFileSync(at('stopped/adapter/adapter_model.safetensors'))).toEqual(
    readFileSync(at('run/adapter/adapter_model.safetensors')),
  );

  const prompt = ['--prompt', 'in the beginning', '--max-new-tokens', '12', '--json'];
  const base = result(await run('generate', '--model', at('model'), ...prompt));
  const adapter = ['--adapter', at('run/adapter')];
  const adapted = result(await run('generate', '--model', at('model'), ...adapter, ...prompt));
  expect(adapted.text).not.toBe(base.text);

  await run('merge', '--model', at('model'), ...adapter, '--output', at('merged'));
  const weights = await openSafetensors(new Uint8Array(readFileSync(at('merged/model.safetensors'))));
  expect(weights.tensors.get('transformer.h.0.attn.c_attn.weight')!.shape).toEqual([32, 96]);
  const merged = result(await run('generate', '--model', at('merged'), ...prompt));
  expect(merged.text).toBe(adapted.text);
});
