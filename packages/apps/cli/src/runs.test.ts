import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFile } from '@graftjs/checkpoint/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestHost, testHost } from '../test/host.ts';
import { spawnCli } from '../test/spawn.ts';
import { texts, writeTinyModel } from '../test/tiny-model.ts';
import { runCli } from './cli.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-runs-'));
  writeTinyModel(at('model'));
  writeFileSync(at('data.jsonl'), texts(30));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A run of ten steps with dropout and accumulation, which saves every third. */
const flags = (output: string, change: Record<string, string> = {}): string[] =>
  Object.entries({
    model: at('model'),
    data: at('data.jsonl'),
    output: at(output),
    steps: '10',
    'batch-size': '2',
    accumulate: '2',
    dropout: '0.1',
    'learning-rate': '1e-2',
    'save-every': '3',
    'evaluate-every': '4',
    'held-out': '0.2',
    ...change,
  }).flatMap(([flag, value]) => [`--${flag}`, value]);

async function run(
  argv: readonly string[],
  onOut?: (text: string, host: TestHost) => void,
): Promise<TestHost> {
  const host = testHost(onOut ? { onOut } : {});
  const code = await runCli(argv, host);
  expect(code, host.stderr()).toBe(0);
  return host;
}

const adapterBytes = (output: string): string =>
  readFileSync(at(output, 'adapter', 'adapter_model.safetensors')).toString('base64');

/** Steps and their losses as metrics.jsonl has them. */
const metrics = (output: string): unknown[] =>
  readFileSync(at(output, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; step: number; loss: number })
    .map(({ event, step, loss }) => ({ event, step, loss }));

describe('a run that was stopped goes on to the same adapter, byte for byte', () => {
  beforeAll(async () => {
    await run(['train', ...flags('whole'), '--quiet']);
  });

  const goOn = async (output: string): Promise<void> => {
    await run(['resume', at(output), '--quiet']);
    expect(adapterBytes(output)).toBe(adapterBytes('whole'));
    expect(metrics(output)).toEqual(metrics('whole'));
  };

  test('after Ctrl-C', async () => {
    const host = testHost({
      onOut: (text, self) => {
        if (text.includes('"event":"step","step":4,')) self.interrupt();
      },
    });
    expect(await runCli(['train', ...flags('interrupted'), '--json'], host)).toBe(130);
    const last = host.events().at(-1)!;
    expect(last).toMatchObject({ event: 'error', code: 130, name: 'InterruptedError' });
    expect(host.stderr()).toMatch(
      new RegExp(
        `^graft: interrupted after step \\d of 10, which is saved: continue with \`graft resume ${at('interrupted')}\`\n$`,
      ),
    );
    expect(host.exits).toEqual([]);
    await goOn('interrupted');
  });

  test('after SIGTERM to the process', async () => {
    const { code, stderr } = await spawnCli(['train', ...flags('terminated'), '--json'], {
      stop: {
        at: '"event":"step","step":2,',
        act: (child) => {
          // Twice at once, as launchers do that pass on what the terminal has sent to all.
          child.kill('SIGTERM');
          child.kill('SIGINT');
        },
      },
    });
    expect(code, stderr).toBe(130);
    expect(stderr).toContain('graft: interrupted after step');
    await goOn('terminated');
  });

  test('after kill -9, and the lock of the dead process is taken over', async () => {
    const { signal } = await spawnCli(['train', ...flags('killed'), '--json'], {
      stop: { at: '"event":"step","step":5,', act: (child) => child.kill('SIGKILL') },
    });
    expect(signal).toBe('SIGKILL');
    expect(readdirSync(at('killed'))).toContain('.graft.lock');
    await goOn('killed');
  });

  test('with packed rows', async () => {
    const packed = { packing: 'true', 'max-length': '64' };
    const whole = await run(['train', ...flags('packed', packed)]);
    expect(whole.stdout()).toMatch(/packed into \d+ rows of up to 64 tokens, \d+\.\d % full/);
    const host = testHost({
      onOut: (text, self) => {
        if (text.includes('"event":"step","step":4,')) self.interrupt();
      },
    });
    expect(await runCli(['train', ...flags('packed-stopped', packed), '--json'], host)).toBe(130);
    await run(['resume', at('packed-stopped'), '--quiet']);
    expect(adapterBytes('packed-stopped')).toBe(adapterBytes('packed'));
    expect(metrics('packed-stopped')).toEqual(metrics('packed'));
    expect(adapterBytes('packed')).not.toBe(adapterBytes('whole'));
  });

  test('a second Ctrl-C ends the process at once', async () => {
    const host = testHost({
      onOut: (text, self) => {
        if (!text.includes('"event":"step","step":1,')) return;
        self.interrupt();
        self.interrupt();
      },
    });
    await runCli(['train', ...flags('twice'), '--json'], host);
    expect(host.exits).toEqual([130]);
  });

  test('a finished run is resumed without doing anything again', async () => {
    const before = { adapter: adapterBytes('whole'), metrics: metrics('whole') };
    const host = await run(['resume', at('whole'), '--json']);
    expect(host.events().at(-1)).toMatchObject({ event: 'result', steps: 10, loss: null });
    expect({ adapter: adapterBytes('whole'), metrics: metrics('whole') }).toEqual(before);
  });
});

describe('a run is not resumed', () => {
  const refused = async (change: () => void): Promise<{ code: number; line: string }> => {
    rmSync(at('refused'), { recursive: true, force: true });
    writeTinyModel(at('other-model'));
    writeFileSync(at('other.jsonl'), texts(30));
    await run([
      'train',
      ...flags('refused', { model: at('other-model'), data: at('other.jsonl'), steps: '1' }),
      '--quiet',
    ]);
    change();
    const host = testHost();
    const code = await runCli(['resume', at('refused')], host);
    return { code, line: host.stderr() };
  };

  test('with another base model', async () => {
    const { code, line } = await refused(() => writeTinyModel(at('other-model'), {}, 2));
    expect(line).toMatch(/cannot resume: the checkpoint's base model \(SHA-256\) is/);
    expect(code).toBe(4);
  });

  test('with other data', async () => {
    const { code, line } = await refused(() =>
      writeFileSync(at('other.jsonl'), texts(30).replace('waters', 'lights')),
    );
    expect(line).toMatch(/cannot resume: the checkpoint's training examples \(SHA-256\) is/);
    expect(code).toBe(4);
  });

  test('with another method', async () => {
    const { code, line } = await refused(() => {
      const file = at('refused', 'config.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace('alpha: 16', 'alpha: 8'));
    });
    expect(line).toContain("cannot resume: the checkpoint's method is");
    expect(code).toBe(4);
  });

  test('from a damaged checkpoint, but from the one before it', async () => {
    rmSync(at('damaged'), { recursive: true, force: true });
    await run(['train', ...flags('damaged'), '--quiet']);
    writeFileSync(at('damaged', 'checkpoints', 'checkpoint-10', 'trainable.safetensors'), 'torn');
    const host = await run(['resume', at('damaged')]);
    expect(host.stdout()).toContain('passed over: ');
    expect(host.stdout()).toContain('continuing after step 9 of 10');
    expect(adapterBytes('damaged')).toBe(adapterBytes('whole'));
  });
});

test('accumulating two batches of two is one batch of four', async () => {
  // Without dropout, whose masks go by micro-batch; the large epsilon keeps rounding errors of tiny gradients small.
  const same = { dropout: '0', steps: '4', epsilon: '1e-3', 'held-out': '0' };
  await run(['train', ...flags('micro', { ...same, 'batch-size': '2', accumulate: '2' }), '--quiet']);
  await run(['train', ...flags('large', { ...same, 'batch-size': '4', accumulate: '1' }), '--quiet']);
  const open = async (output: string) =>
    openSafetensors(await nodeFile(at(output, 'adapter', 'adapter_model.safetensors')));
  const [micro, large] = [await open('micro'), await open('large')];
  let moved = 0;
  for (const name of large.tensors.keys()) {
    const [a, b] = [await micro.readFloat32(name), await large.readFloat32(name)];
    expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!))), name).toBeLessThan(1e-6);
    if (name.includes('lora_B')) moved = Math.max(moved, ...b.map(Math.abs));
  }
  expect(moved).toBeGreaterThan(1e-4);
});

test('--json prints JSON only, the result last', async () => {
  const host = await run(['train', ...flags('json', { steps: '3' }), '--json']);
  const events = host.events();
  expect(host.stderr()).toBe('');
  expect(events.filter(({ event }) => event === 'step').map(({ step }) => step)).toEqual([1, 2, 3]);
  expect(events.filter(({ event }) => event === 'evaluation').map(({ step }) => step)).toEqual([0, 3]);
  expect(events.filter(({ event }) => event === 'result')).toHaveLength(1);
  const result = events.at(-1)!;
  expect(result).toMatchObject({
    event: 'result',
    adapter: at('json', 'adapter'),
    run: at('json'),
    steps: 3,
    heldOutLossBefore: expect.any(Number),
    heldOutLossAfter: expect.any(Number),
    tokens: expect.any(Number),
    seconds: expect.any(Number),
    tokensPerSecond: expect.any(Number),
    peakBytes: expect.any(Number),
    device: expect.any(String),
  });
  expect(result.heldOutLossAfter).toBeLessThan(result.heldOutLossBefore as number);
});

test('a run folder is what it should be', () => {
  expect(readdirSync(at('json')).sort()).toEqual(['adapter', 'checkpoints', 'config.yaml', 'metrics.jsonl']);
  expect(readdirSync(at('json', 'adapter')).sort()).toEqual([
    'adapter_config.json',
    'adapter_model.safetensors',
  ]);
  const inside = at('json', 'checkpoints', 'checkpoint-3', 'adapter', 'adapter_model.safetensors');
  expect(readFileSync(inside).toString('base64')).toBe(adapterBytes('json'));
  const config = JSON.parse(readFileSync(at('json', 'adapter', 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: 8,
    lora_alpha: 16,
    lora_dropout: 0.1,
    base_model_name_or_path: at('model'),
  });
});

test('--overwrite replaces a run and leaves other files alone', async () => {
  mkdirSync(at('again'));
  writeFileSync(at('again', 'notes.txt'), 'mine');
  await run(['train', ...flags('again', { steps: '3' }), '--quiet', '--overwrite']);
  const first = metrics('again');
  await run(['train', ...flags('again', { steps: '1' }), '--quiet', '--overwrite']);
  expect(metrics('again').length).toBeLessThan(first.length);
  expect(readdirSync(at('again', 'checkpoints'))).toEqual(['checkpoint-1']);
  expect(readFileSync(at('again', 'notes.txt'), 'utf8')).toBe('mine');
});

describe('an adapter', () => {
  const generate = async (...more: string[]): Promise<Record<string, unknown>> => {
    const argv = ['generate', '--prompt', 'in the beginning', '--max-new-tokens', '12', '--json', ...more];
    return (await run(argv)).events().at(-1)!;
  };

  test('that is merged writes the same text', async () => {
    const [model, adapter, output] = [at('model'), at('whole', 'adapter'), at('merged')];
    await run(['merge', '--model', model, '--adapter', adapter, '--output', output, '--quiet']);
    expect(readdirSync(output).sort()).toEqual(readdirSync(model).sort());
    const withAdapter = await generate('--model', model, '--adapter', adapter);
    const merged = await generate('--model', output);
    const base = await generate('--model', model);
    expect(merged.text).toBe(withAdapter.text);
    expect(base.text).not.toBe(withAdapter.text);
    expect(withAdapter).toMatchObject({ event: 'result', tokens: 12, promptTokens: expect.any(Number) });
  });

  test('is written to nowhere but an empty folder', async () => {
    const host = testHost();
    const argv = [
      'merge',
      '--model',
      at('model'),
      '--adapter',
      at('whole', 'adapter'),
      '--output',
      at('whole'),
    ];
    expect(await runCli(argv, host)).toBe(2);
    expect(host.stderr()).toContain('is not empty: choose another folder, or give --overwrite');
  });

  test('the text streams to stdout alone, the same for the same seed', async () => {
    const argv = [
      'generate',
      '--model',
      at('model'),
      '--prompt',
      'a',
      '--temperature',
      '1',
      '--max-new-tokens',
      '8',
    ];
    const [first, again, other] = [
      await run([...argv, '--seed', '3']),
      await run([...argv, '--seed', '3']),
      await run([...argv, '--seed', '4']),
    ];
    expect(first.stdout()).toBe(again.stdout());
    expect(first.stdout()).not.toBe(other.stdout());
    expect(first.stdout()).toMatch(/^.+\n$/s);
    expect(first.stderr()).toBe('');
  });

  test('generation ends at a stop text', async () => {
    const all = (await generate('--model', at('model'))).text as string;
    const stop = all.slice(5, 8);
    const cut = await generate('--model', at('model'), '--stop', stop);
    expect(cut.text).toBe(all.slice(0, all.indexOf(stop)));
  });
});

test('quickstart trains, writes samples before and after, and gives its result', async () => {
  const host = await run([
    'quickstart',
    '--model',
    at('model'),
    '--steps',
    '2',
    '--output',
    at('quick'),
    '--json',
  ]);
  const events = host.events();
  const result = events.at(-1)!;
  expect(result).toMatchObject({
    event: 'result',
    adapter: at('quick', 'adapter'),
    steps: 2,
    heldOutLossBefore: expect.any(Number),
    heldOutLossAfter: expect.any(Number),
    seconds: expect.any(Number),
    tokensPerSecond: expect.any(Number),
    peakBytes: expect.any(Number),
    device: expect.any(String),
  });
  const { before, after } = result.samples as Record<'before' | 'after', { prompt: string; text: string }[]>;
  expect(before).toHaveLength(3);
  expect(before.map(({ prompt }) => prompt)).toEqual(after.map(({ prompt }) => prompt));
  expect(events.filter(({ event }) => event === 'sample')).toHaveLength(6);
  expect(result.heldOutLossAfter).not.toBe(result.heldOutLossBefore);
});

test('doctor shows the device and checks it', async () => {
  const result = (await run(['doctor', '--json'])).events().at(-1)!;
  expect(result).toMatchObject({ event: 'result', node: process.version, correct: true });
  expect(result.gflops).toBeGreaterThan(0);
});

test('without an adapter doctor says what to install', async () => {
  const { code, stdout, stderr } = await spawnCli(['doctor'], {
    env: { VK_DRIVER_FILES: '/none', VK_ICD_FILENAMES: '/none' },
  });
  expect(code).toBe(5);
  expect(stdout).toMatch(/^Node v/);
  // Dawn prints warnings of its own before.
  expect(stderr.trimEnd().split('\n').at(-1)).toMatch(
    /^graft: WebGPU finds no adapter on this machine\. .*mesa-vulkan-drivers/,
  );
});

test('help and version', async () => {
  expect((await run(['--help'])).stdout()).toContain('usage: graft VERB');
  expect((await run(['--version'])).stdout()).toMatch(/^\d+\.\d+\.\d+\n$/);
  const help = (await run(['train', '--help'])).stdout();
  expect(help).toContain('--learning-rate');
  expect(help).not.toContain('\x1b');
});
