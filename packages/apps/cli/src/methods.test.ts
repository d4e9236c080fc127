/** Methods with configs of their own, from a configuration to an adapter and back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testHost } from '../test/host.ts';
import { texts, writeTinyModel } from '../test/tiny-model.ts';
import { runCli } from './cli.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-methods-'));
  writeTinyModel(at('model'));
  writeFileSync(at('data.jsonl'), texts(30));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const prompts = [
  {
    name: 'prompt-tuning',
    method: '{ type: prompt-tuning, num_virtual_tokens: 4, init: text }',
    fault: 'unknown key method.init of prompt-tuning',
  },
  {
    name: 'prompt-tuning',
    method:
      "{ type: prompt-tuning, num_virtual_tokens: 4, prompt-tuning-init: text, promptTuningInitText: 'Say it:' }",
    config: { peft_type: 'PROMPT_TUNING', prompt_tuning_init: 'TEXT', num_virtual_tokens: 4, token_dim: 32 },
  },
  {
    name: 'p-tuning',
    method:
      '{ type: p-tuning, encoderReparameterizationType: lstm, encoderHiddenSize: 8, encoderDropout: 0.1, numVirtualTokens: 3 }',
    config: { peft_type: 'P_TUNING', encoder_reparameterization_type: 'LSTM', encoder_dropout: 0.1 },
  },
  {
    name: 'prefix-tuning',
    method: '{ type: prefix-tuning, prefixProjection: true, encoderHiddenSize: 8 }',
    config: { peft_type: 'PREFIX_TUNING', num_virtual_tokens: 20, prefix_projection: true, token_dim: 16 },
  },
] as const;

const yaml = (method: string, output: string, data = ''): string => `
model: ${at('model')}
output: ${at(output)}
data: { train: ${at('data.jsonl')}, heldOut: 0.2${data} }
method: ${method}
training: { steps: 6, batchSize: 2, saveEvery: 2 }
`;

test.each(prompts)('$name: $method', { timeout: 120_000 }, async (tried) => {
  const train = (output: string, host = testHost()): Promise<number> => {
    writeFileSync(at('config.yaml'), yaml(tried.method, output));
    return runCli(['train', at('config.yaml'), '--json'], host);
  };
  if ('fault' in tried) {
    const host = testHost();
    expect(await train('refused', host)).not.toBe(0);
    expect(host.events().at(-1)).toMatchObject({ message: expect.stringContaining(tried.fault) });
    return;
  }
  const host = testHost();
  expect(await train(`${tried.name}-whole`, host), host.stderr()).toBe(0);
  const file = (run: string, name: string): Buffer => readFileSync(at(run, 'adapter', name));
  const config = JSON.parse(file(`${tried.name}-whole`, 'adapter_config.json').toString());
  expect(config).toMatchObject({
    ...tried.config,
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: at('model'),
  });

  // What is saved may be less than what is trained: the run goes on from the checkpoint all the same.
  const stopped = testHost({
    onOut: (text, self) => {
      if (text.includes('"event":"step","step":3,')) self.interrupt();
    },
  });
  expect(await train(`${tried.name}-stopped`, stopped)).toBe(130);
  expect(await runCli(['resume', at(`${tried.name}-stopped`), '--quiet'], testHost())).toBe(0);
  const weights = 'adapter_model.safetensors';
  expect(
    file(`${tried.name}-stopped`, weights).equals(file(`${tried.name}-whole`, weights)),
    'the same bits',
  ).toBe(true);

  const adapter = at(`${tried.name}-whole`, 'adapter');
  const evaluated = testHost();
  expect(await runCli(['eval', at(`${tried.name}-whole`), '--json'], evaluated)).toBe(0);
  const result = host.events().at(-1) as { heldOutLossAfter: number };
  const { loss } = evaluated.events().at(-1) as { loss: number };
  expect(Math.abs(loss - result.heldOutLossAfter)).toBeLessThan(1e-5);
  const generated = testHost();
  const argv = [
    'generate',
    '--model',
    at('model'),
    '--adapter',
    adapter,
    '--prompt',
    'In',
    '--max-new-tokens',
    '3',
  ];
  expect(await runCli([...argv, '--json'], generated)).toBe(0);
  expect(generated.events().at(-1)).toMatchObject({ event: 'result', tokens: 3 });
});

test('a method by its flag, with its own learning rate', async () => {
  const flags = {
    model: at('model'),
    data: at('data.jsonl'),
    output: at('flagged'),
    steps: '1',
    method: 'p-tuning',
  };
  const argv = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  expect(await runCli(['train', ...argv, '--quiet'], testHost())).toBe(0);
  const saved = readFileSync(at('flagged', 'config.yaml'), 'utf8');
  expect(saved).toContain('type: p-tuning\n  numVirtualTokens: 20\n');
  expect(saved).toContain('learningRate: 0.005\n');
});
