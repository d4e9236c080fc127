/** Keys of the method and of the optimizer, from the command line to the adapter. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFile } from '@graftjs/checkpoint/node';
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

const argv = (output: string, options: Record<string, string>): string[] =>
  Object.entries({
    model: at('model'),
    data: at('data.jsonl'),
    output: at(output),
    steps: '6',
    'batch-size': '2',
    'save-every': '2',
    'held-out': '0.2',
    ...options,
  }).flatMap(([flag, value]) => [`--${flag}`, value]);
const adapter = (output: string, name: string): Buffer => readFileSync(at(output, 'adapter', name));

test('DoRA with patterns, by SGD with LoRA+: what the adapter holds, and that it goes on after Ctrl-C', async () => {
  const options = {
    dora: 'true',
    'target-modules': 'q_proj,v_proj',
    'layers-to-transform': '0',
    'rank-pattern': 'q_proj=2',
    'alpha-pattern': 'v_proj=4',
    'modules-to-save': 'lm_head',
    optimizer: 'sgd',
    momentum: '0.9',
    nesterov: 'true',
    'loraplus-ratio': '4',
    'learning-rate': '1e-2',
  };
  expect(await runCli(['train', ...argv('whole', options), '--quiet'], testHost())).toBe(0);
  expect(JSON.parse(adapter('whole', 'adapter_config.json').toString())).toMatchObject({
    use_dora: true,
    layers_to_transform: 0,
    rank_pattern: { q_proj: 2 },
    alpha_pattern: { v_proj: 4 },
    modules_to_save: ['lm_head'],
  });
  const { tensors } = await openSafetensors(
    await nodeFile(at('whole', 'adapter', 'adapter_model.safetensors')),
  );
  const path = 'base_model.model.model.layers.0.self_attn';
  const lora = ['lora_A.weight', 'lora_B.weight', 'lora_magnitude_vector'];
  const targets = ['q_proj', 'v_proj'].flatMap((name) => lora.map((part) => `${path}.${name}.${part}`));
  expect([...tensors.keys()].sort()).toEqual(['base_model.model.lm_head.weight', ...targets].sort());
  expect(tensors.get(`${path}.q_proj.lora_A.weight`)!.shape[0]).toBe(2);
  expect(tensors.get(`${path}.v_proj.lora_A.weight`)!.shape[0]).toBe(8);

  const host = testHost({
    onOut: (text, self) => {
      if (text.includes('"event":"step","step":3,')) self.interrupt();
    },
  });
  expect(await runCli(['train', ...argv('stopped', options), '--json'], host)).toBe(130);
  expect(await runCli(['resume', at('stopped'), '--quiet'], testHost())).toBe(0);
  const weights = 'adapter_model.safetensors';
  expect(adapter('stopped', weights).equals(adapter('whole', weights))).toBe(true);
});

test('the best checkpoint is kept and named', async () => {
  const host = testHost();
  const options = { 'keep-best': 'true', keep: '1', 'evaluate-every': '1', 'learning-rate': '5' };
  expect(await runCli(['train', ...argv('best', options), '--json'], host), host.stderr()).toBe(0);
  const events = host.events() as { event: string; step: number; loss: number }[];
  const evaluations = events.filter(({ event, step }) => event === 'evaluation' && step > 0);
  const lowest = evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
  const folder = at('best', 'checkpoints', `checkpoint-${lowest.step}`, 'adapter');
  expect(events.at(-1)).toMatchObject({
    event: 'result',
    skippedSteps: 0,
    best: { step: lowest.step, heldOutLoss: lowest.loss, adapter: folder },
  });
  expect(lowest.step).toBeLessThan(6);
  expect(existsSync(join(folder, 'adapter_model.safetensors'))).toBe(true);
});

test('a run whose loss is never finite ends with the code of diverged training', async () => {
  const host = testHost();
  const options = {
    'learning-rate': '1e38',
    schedule: 'constant',
    warmup: '0',
    'skip-limit': '2',
    steps: '9',
  };
  const code = await runCli(
    ['train', ...argv('diverged', { ...options, 'save-every': '100' }), '--json'],
    host,
  );
  expect(host.events().at(-1)).toMatchObject({ event: 'error', code, name: 'DivergedError' });
  const skipped = (host.events() as { event: string; skipped: boolean }[]).filter(
    ({ event, skipped }) => event === 'step' && skipped,
  );
  expect(skipped).toHaveLength(2);
});
