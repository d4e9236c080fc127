import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestHost, testHost } from '../test/host.ts';
import { runCli } from './cli.ts';

const model = fileURLToPath(new URL('../test/fixtures/tiny.Q8_0.gguf', import.meta.url));
let root: string;
const at = (...names: string[]): string => join(root, ...names);

const rows = ['the nation', 'the people', 'of the world'].flatMap((text) =>
  [1, 2, 3].map((n) => ({
    messages: [
      { role: 'user', content: `${text} ${n}?` },
      { role: 'assistant', content: `${text}!` },
    ],
  })),
);

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-gguf-'));
  writeFileSync(at('chat.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function run(...argv: string[]): Promise<TestHost> {
  const host = testHost();
  expect(await runCli(argv, host), host.stderr()).toBe(0);
  return host;
}

const result = (host: TestHost): Record<string, unknown> => host.events().at(-1)!;

const flags = (output: string): string[] => [
  ...['train', '--model', model, '--data', at('chat.jsonl'), '--output', at(output), '--json'],
  ...['--steps', '6', '--batch-size', '3', '--learning-rate', '2e-2', '--save-every', '2'],
];

describe('a model in a GGUF file', () => {
  test('trains, generates, resumes and merges as a folder does', async () => {
    const trained = result(await run(...flags('run')));
    expect(trained.steps).toBe(6);
    const config = JSON.parse(readFileSync(at('run/adapter/adapter_config.json'), 'utf8'));
    expect(config.base_model_name_or_path).toBe(model);

    const host = testHost({
      onOut: (text, self) => {
        if (text.includes('"event":"step","step":3,')) self.interrupt();
      },
    });
    expect(await runCli(flags('stopped'), host)).toBe(130);
    await run('resume', at('stopped'), '--json');
    expect(readFileSync(at('stopped/adapter/adapter_model.safetensors'))).toEqual(
      readFileSync(at('run/adapter/adapter_model.safetensors')),
    );

    const prompt = ['--prompt', 'the nation 1?', '--chat', '--max-new-tokens', '12', '--json'];
    const base = result(await run('generate', '--model', model, ...prompt));
    const adapted = result(
      await run('generate', '--model', model, '--adapter', at('run/adapter'), ...prompt),
    );
    expect(adapted.text).not.toBe(base.text);

    const merge = ['merge', '--model', model, '--adapter', at('run/adapter'), '--output', at('merged')];
    expect((await run(...merge)).stdout()).toContain('(F32, a Hugging Face folder, dequantized)');
    expect(readdirSync(at('merged')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const merged = result(await run('generate', '--model', at('merged'), ...prompt));
    expect(merged.text).toBe(adapted.text);
    expect(merged.promptTokens).toBe(adapted.promptTokens);
  });
});

describe('what is wrong with the file is one line', () => {
  const bytes = readFileSync(model);
  const put = (name: string, content: Uint8Array): string => {
    mkdirSync(join(at(name), '..'), { recursive: true });
    writeFileSync(at(name), content);
    return at(name);
  };
  /** The file with every occurrence of a text replaced by one of the same length. */
  const replaced = (from: string, to: string): Uint8Array =>
    Buffer.from(bytes.toString('latin1').replaceAll(from, to), 'latin1');

  test.each<[string, () => string, string]>([
    [
      'is cut short',
      () => put('short.gguf', bytes.subarray(0, 40_000)),
      'the file is cut short: its tensors need',
    ],
    [
      'is no GGUF file',
      () => put('other.gguf', Buffer.from('hello, world')),
      'begins with "hell", not "GGUF"',
    ],
    [
      'is of another architecture',
      () => put('bloom.gguf', replaced('llama', 'bloom')),
      'its architecture is "bloom"',
    ],
    [
      'has another tokenizer',
      () => put('pre.gguf', replaced('smollm', 'smallm')),
      '"smallm" is not supported; supported are gpt-2',
    ],
    [
      'is in the folder that is given',
      () => join(put('lone/tiny.gguf', bytes), '..'),
      'Give the file itself: ',
    ],
    ['is not there', () => at('none.gguf'), 'none.gguf/config.json'],
  ])('%s', async (_, path, message) => {
    const host = testHost();
    const code = await runCli(['generate', '--model', path(), '--prompt', 'a'], host);
    const [line, ...more] = host.stderr().split('\n');
    expect(more).toEqual(['']);
    expect(line).toContain(message);
    expect(code).toBe(4);
  });
});
