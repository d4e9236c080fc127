/** Every method of every package that is installed, from its name to an adapter and back. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFile } from '@graftjs/checkpoint/node';
import { tunerOf } from '@graftjs/peft';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testHost } from '../test/host.ts';
import { fail, resultOf, succeed } from '../test/run-cli.ts';
import { spawnCli } from '../test/spawn.ts';
import { texts, writeTinyModel } from '../test/tiny-model.ts';
import { runCli } from './index.ts';
import { MethodCatalog } from './methods/catalog.ts';
import { findMethodPackages } from './methods/find-packages.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-every-'));
  // BitFit needs biases
  writeTinyModel(at('model'), { attention_bias: true, mlp_bias: true, num_hidden_layers: 2 });
  writeFileSync(at('data.jsonl'), texts(12));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const train = (method: string, output: string, ...more: string[]): string[] =>
  [
    ['train', '--model', at('model'), '--data', at('data.jsonl'), '--output', at(output)],
    ['--method', method, '--steps', '4', '--batch-size', '2', '--held-out', '0.25', '--save-every', '2'],
    more,
  ].flat();
const adapterConfig = (output: string): Record<string, unknown> =>
  JSON.parse(readFileSync(at(output, 'adapter', 'adapter_config.json'), 'utf8'));
const generated = async (adapter: string, ...more: string[]): Promise<unknown> =>
  (
    await resultOf(
      ...[
        'generate',
        '--model',
        at('model'),
        '--adapter',
        adapter,
        '--prompt',
        'In',
        '--max-new-tokens',
        '4',
      ],
      ...more,
    )
  ).text;

const packages = findMethodPackages();
const names = packages.flatMap(({ methods }) => Object.entries(methods));

test('every package of tuners offers a method, in its package.json and in its program', async () => {
  const folder = fileURLToPath(new URL('../../../tuners', import.meta.url));
  // extensions of other methods have none of their own
  const tuners = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'src/method.ts')));
  const named = tuners.filter((name) => name !== 'peft');
  expect(packages.map(({ name }) => name.replace('@graftjs/', ''))).toEqual(expect.arrayContaining(named));
  for (const { methods, load } of packages)
    for (const method of await load()) {
      expect(method.paper).toMatch(/\d{4}/);
      expect((await tunerOf(method)).peftType).toBe(methods[method.name]);
    }
});

test.each(names)('%s', { timeout: 180_000 }, async (name, peftType) => {
  const result = await resultOf(...train(name, name), '--held-out', '0', '--steps', '2');
  expect(result.loss).toBeGreaterThan(0);
  expect(adapterConfig(name).peft_type).toBe(peftType);
  const found = await resultOf('inspect', at(name, 'adapter'));
  expect(found).toMatchObject({ method: peftType, supported: true, problems: [], unknownConfigKeys: [] });
});

describe('what depends on the kind of method', () => {
  test("AdaLoRA's ranks fall as the number of steps says, and go on so after Ctrl-C", {
    timeout: 180_000,
  }, async () => {
    const options = ['--init-r', '4', '--target-r', '1', '--tinit', '0', '--tfinal', '1'];
    await succeed(...train('adalora', 'ranks', ...options));
    expect(adapterConfig('ranks')).toMatchObject({ total_step: 4, tinit: 0, tfinal: 1, target_r: 1 });
    const weights = at('ranks', 'adapter', 'adapter_model.safetensors');
    const file = await openSafetensors(await nodeFile(weights));
    let left = 0;
    for (const key of file.tensors.keys())
      if (key.endsWith('lora_E')) left += (await file.readFloat32(key)).filter((value) => value !== 0).length;
    // a mean of one for each of two targets in two layers
    expect(left).toBe(4);
    const stopped = testHost({
      onOut: (text, self) => {
        if (text.includes('"event":"step","step":2,')) self.interrupt();
      },
    });
    expect(await runCli([...train('adalora', 'stopped', ...options), '--json'], stopped)).toBe(130);
    await succeed('resume', at('stopped'));
    const again = readFileSync(at('stopped', 'adapter', 'adapter_model.safetensors'));
    expect(again.equals(readFileSync(weights))).toBe(true);
  });

  test("bottleneck adapters are written in AdapterHub's form, too, and read from it", {
    timeout: 180_000,
  }, async () => {
    await succeed(...train('houlsby', 'hub', '--leave-out', '0', '--reduction-factor', '4'));
    const folder = at('hub', 'adapter', 'adapterhub');
    const { config } = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ mh_adapter: true, leave_out: [0], reduction_factor: 4 });
    expect(await generated(folder)).toBe(await generated(at('hub', 'adapter')));
    const found = await resultOf('inspect', folder);
    expect(found).toMatchObject({ kind: 'adapter', supported: true, problems: [] });
    const refused = await fail(
      'merge',
      '--model',
      at('model'),
      '--adapter',
      folder,
      '--output',
      at('merged-hub'),
    );
    expect(refused.line).toContain('BOTTLENECK is no change of weights');
  });

  test('merging what can be merged', { timeout: 180_000 }, async () => {
    await succeed(...train('vera', 'for-merging', '--r', '8', '--learning-rate', '1'));
    const adapter = at('for-merging', 'adapter');
    await succeed('merge', '--model', at('model'), '--adapter', adapter, '--output', at('merged'));
    const alone = ['generate', '--model', at('merged'), '--prompt', 'In', '--max-new-tokens', '4'];
    expect((await resultOf(...alone)).text).toBe(await generated(adapter));
  });
});

test('a method of a file that no package knows: train, eval', { timeout: 300_000 }, async () => {
  const file = fileURLToPath(new URL('../../../../docs/examples/ssf.ts', import.meta.url));
  const run = await spawnCli([...train(file, 'ssf'), '--json']);
  expect(run.code, run.stderr).toBe(0);
  expect(adapterConfig('ssf').peft_type).toBe('SSF');
  const evaluated = await spawnCli(['eval', at('ssf'), '--json']);
  expect(evaluated.code, evaluated.stderr).toBe(0);
  const refused = await spawnCli(['inspect', at('ssf', 'adapter'), '--json']);
  expect(refused.stdout).toContain('methods here are of');
});

test('methods of a project are found by its package.json', async () => {
  const write = (path: string, content: object | string): void => {
    const target = at('project', path);
    mkdirSync(join(target, '..'), { recursive: true });
    writeFileSync(target, typeof content === 'string' ? content : JSON.stringify(content));
  };
  write('package.json', { dependencies: { 'my-tuner': '1.0.0', other: '1.0.0' } });
  write('node_modules/my-tuner/package.json', {
    name: 'my-tuner',
    type: 'module',
    exports: { '.': { import: './own.js' } },
    graft: { methods: { mine: 'MINE' } },
  });
  write('node_modules/my-tuner/own.js', "export const methods = [{ name: 'mine' }];");
  write('node_modules/other/package.json', { name: 'other' });
  write('node_modules/@graftjs/unnamed/package.json', {
    name: '@graftjs/unnamed',
    graft: { methods: { unnamed: 'X', ia3: 'IA3' } },
    main: 'index.cjs',
  });
  write('node_modules/@graftjs/unnamed/index.cjs', 'exports.methods = [];');
  const catalog = new MethodCatalog(findMethodPackages(at('project', 'src')));
  expect(catalog.names).toEqual(expect.arrayContaining(['lora', 'mine', 'unnamed']));
  expect(await catalog.method('mine')).toEqual({ name: 'mine' });
  await expect(catalog.method('unnamed')).rejects.toThrow('@graftjs/unnamed: it offers no methods');
  await expect(catalog.method('ia3')).rejects.toThrow('is in both @graftjs/ia3 and @graftjs/unnamed');
  await expect(catalog.method('minne')).rejects.toThrow('did you mean mine?');
});
