import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSafetensors, openSafetensors, type TensorData } from '@graftjs/checkpoint';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fail, resultOf, succeed } from '../../test/run-cli.ts';
import { texts, writeTinyModel } from '../../test/tiny-model.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
let trained: Record<string, unknown>;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'graft-eval-'));
  writeTinyModel(at('model'));
  writeFileSync(at('data.jsonl'), texts(24));
  writeFileSync(at('other.jsonl'), texts(7));
  const flags = ['--steps', '4', '--learning-rate', '1e-2', '--held-out', at('other.jsonl')];
  trained = await resultOf(
    ...['train', '--model', at('model'), '--data', at('data.jsonl'), '--output', at('run'), ...flags],
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const onOther = (...more: string[]): Promise<Record<string, unknown>> =>
  resultOf('eval', '--model', at('model'), '--data', at('other.jsonl'), ...more);

test('a run is measured as it measured itself, and so are its model and adapter', async () => {
  const run = await resultOf('eval', at('run'));
  expect(run).toMatchObject({
    event: 'result',
    loss: trained.heldOutLossAfter,
    perplexity: Math.exp(trained.heldOutLossAfter as number),
    examples: 7,
    adapter: at('run', 'adapter'),
    seconds: expect.any(Number),
    device: trained.device,
  });
  const { seconds: _, ...numbers } = run;
  expect(await onOther('--adapter', at('run', 'adapter'))).toMatchObject(numbers);
  expect(await onOther()).toMatchObject({ loss: trained.heldOutLossBefore, adapter: null });
  expect(await resultOf('eval', at('run'), '--data', at('other.jsonl'))).toMatchObject(numbers);
});

test('packed rows have the same loss over the same tokens', async () => {
  const plain = await onOther();
  const packed = await onOther('--packing', 'true', '--max-length', '64', '--batch-size', '2');
  expect(packed.fill).toBeGreaterThan(0.5);
  expect(packed.tokens).toBe(plain.tokens);
  expect(packed.supervisedTokens).toBe(plain.supervisedTokens);
  expect(Math.abs((packed.loss as number) / (plain.loss as number) - 1)).toBeLessThan(1e-6);
});

test('only completions are measured, unless all is asked for', async () => {
  const rows = [1, 2, 3].map((n) => ({ prompt: 'in the beginning '.repeat(n), completion: 'was a word' }));
  writeFileSync(at('pairs.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  const measure = (...more: string[]) =>
    resultOf('eval', '--model', at('model'), '--data', at('pairs.jsonl'), ...more);
  const [masked, whole] = [await measure(), await measure('--mask-prompt', 'false')];
  expect(masked.tokens).toBe(whole.tokens);
  // Three times the same completion and its end.
  expect((masked.supervisedTokens as number) % 3).toBe(0);
  expect(masked.supervisedTokens).toBeLessThan(whole.supervisedTokens as number);
  expect(whole.supervisedTokens).toBe((whole.tokens as number) - 3);
});

test('people read it in two lines', async () => {
  const host = await succeed('eval', at('run'), '--quiet');
  expect(host.stdout()).toMatch(
    /^loss \d+\.\d{4}, perplexity [\d.]+ over \d+ learnt of \d+ tokens in 7 examples\n\d+s on .+\n$/,
  );
});

test('what is missing is said in one line', async () => {
  expect(await fail('eval')).toEqual({ code: 2, line: 'eval needs --model; see graft eval --help' });
  expect(await fail('eval', '--model', at('model'))).toEqual({
    code: 2,
    line: 'eval needs --data; see graft eval --help',
  });
  expect((await fail('eval', at('model'))).line).toContain('there is no config.yaml');
  expect((await fail('eval', '--model', at('model'), '--data', at('none'))).code).toBe(3);
  expect((await fail('eval', at('run'), '--lerning-rate', '1')).line).toContain('eval has no flag');
});

test('a run without held-out examples needs data, and one without an adapter cannot be measured', async () => {
  const file = readFileSync(at('run', 'config.yaml'), 'utf8');
  mkdirSync(at('bare'));
  writeFileSync(at('bare', 'config.yaml'), file.replace(/heldOut: .*/, 'heldOut: 0'));
  expect(await fail('eval', at('bare'))).toEqual({
    code: 2,
    line: `${at('bare')}: it has no adapter and no whole checkpoint yet: let the run go on first`,
  });
  const { line } = await fail('eval', at('bare'), '--adapter', at('run', 'adapter'), '--quiet');
  expect(line).toBe(`${at('bare')}: the run held no examples out: give --data`);
});

test('weights that are not finite are told of, with the exit code of divergence', async () => {
  writeTinyModel(at('broken'));
  const file = at('broken', 'model.safetensors');
  const weights = await openSafetensors(readFileSync(file));
  const tensors = new Map<string, TensorData>();
  for (const [name, { dtype, shape }] of weights.tensors)
    tensors.set(name, { dtype, shape, data: await weights.read(name) });
  const norm = tensors.get('model.norm.weight')!.data as Uint8Array;
  new DataView(norm.buffer, norm.byteOffset).setFloat32(0, Number.NaN, true);
  writeFileSync(file, encodeSafetensors(tensors, { format: 'pt' }));
  const { code, line } = await fail('eval', '--model', at('broken'), '--data', at('other.jsonl'), '--quiet');
  expect(line).toContain('the loss is NaN');
  expect(code).toBe(6);
});
