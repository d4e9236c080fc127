import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { architectures, type CausalLM, loadModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdapterNameError, ConfigError, PeftModel, UnsupportedConfigError } from '@graftjs/peft';
import { Variable } from '@graftjs/tensor';
import { deviation } from '@graftjs/tuner-tests';
import { beforeAll, describe, expect, test } from 'vitest';
import { add, model, output, runtime, thrown, toy, useToy } from '../../test/toy.ts';
import { lora } from '../lora.ts';
import type { CombinationType } from './combination-type.ts';
import { combineAdapters } from './combine-adapters.ts';

useToy();

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../../tools/oracle/fixtures', import.meta.url)));
const folder = fixtures.folder('combinations');

interface Case {
  readonly adapters: readonly string[];
  readonly weights: readonly number[];
  readonly rank: number;
  readonly combination_type: CombinationType;
  readonly density?: number;
  readonly svd_rank?: number;
  readonly majority_sign_method?: 'total' | 'frequency';
}
const said = JSON.parse(await folder.readText('case.json')) as {
  base: string;
  seed: number;
  cases: Record<string, Case>;
};

describe('combined as by PEFT', () => {
  let base: CausalLM;
  let peft: PeftModel<CausalLM>;
  beforeAll(async () => {
    ({ model: base } = await loadModel(fixtures.folder(said.base), { architectures }));
    peft = new PeftModel(base, { runtime, tuners: [lora] });
    for (const name of ['one', 'two', 'three']) await peft.loadAdapter(folder.folder(name), name);
  });

  test.each(Object.entries(said.cases))('%s', async (name, options) => {
    const weights = Object.fromEntries(options.adapters.map((adapter, i) => [adapter, options.weights[i]!]));
    await combineAdapters(peft, name, weights, {
      type: options.combination_type,
      seed: said.seed,
      ...(options.density === undefined ? {} : { density: options.density }),
      ...(options.svd_rank === undefined ? {} : { svdRank: options.svd_rank }),
      ...(options.majority_sign_method ? { majoritySignMethod: options.majority_sign_method } : {}),
    });
    expect(peft.configOf(name)).toMatchObject({ r: options.rank, loraAlpha: options.rank });
    expect(peft.activeAdapters).toEqual(['one']);
    peft.setAdapter(name);
    const expected = await openSafetensors(await folder.open('expected.safetensors'));
    const ids = expected.tensors.get('input_ids')!;
    const inputIds = new Variable(ids.shape, Int32Array.from(await expected.readFloat32('input_ids')));
    const [logits] = await runtime.evaluate([base.forward({ inputIds }, new Context())]);
    peft.setAdapter('one');
    expect(deviation(logits!, await expected.readFloat32(name))).toBeLessThan(1e-4);
  });
});

describe('combining adapters', () => {
  const random = { initLoraWeights: false } as const;

  test('all of the rank, or all of the sum of ranks, is the sum of the changes', async () => {
    await add('a', random, 1);
    await add('b', { ...random, r: 2 }, 2);
    model.setAdapter(['a', 'b']);
    const both = await output();
    for (const [name, options] of [
      ['cat', { type: 'cat' }],
      ['svd', { svdRank: 6 }],
    ] as const) {
      await combineAdapters(model, name, { a: 1, b: 1 }, options);
      model.setAdapter(name);
      expect(deviation(await output(), both)).toBeLessThan(1e-4);
    }
    await combineAdapters(model, 'narrow', { a: 1, b: 1 }, { svdRank: 6, svdClamp: 0.6 });
    model.setAdapter('narrow');
    expect(deviation(await output(), both)).toBeGreaterThan(1e-2);
  });

  test('of rank-stabilised adapters is scaled as they are', async () => {
    await add('a', { ...random, useRslora: true });
    const before = await output();
    await combineAdapters(model, 'same', { a: 1 });
    model.setAdapter('same');
    expect(deviation(await output(), before)).toBeLessThan(1e-4);
  });

  test('a negative weight takes away', async () => {
    await add('a', random);
    const base = await model.withoutAdapters(() => output());
    await combineAdapters(model, 'minus', { a: -1 });
    model.setAdapter(['a', 'minus']);
    expect(deviation(await output(), base)).toBeLessThan(1e-4);
  });

  test('refuses what cannot be summed, and leaves the model as it was', async () => {
    await add('a');
    await add('b', { r: 2 });
    await add('dora', { useDora: true });
    await add('head', { modulesToSave: ['lm_head'] });
    await add('pattern', { targetModules: '.*q_proj' });
    const refused = (weights: Record<string, number>, options = {}): Promise<unknown> =>
      thrown(() => combineAdapters(model, 'new', weights, options));
    expect(await refused({ a: 1, nobody: 1 })).toBeInstanceOf(AdapterNameError);
    expect(await refused({ a: 1, dora: 1 })).toMatchObject({ key: 'use_dora' });
    expect(await refused({ a: 1, head: 1 })).toBeInstanceOf(UnsupportedConfigError);
    expect(await refused({ a: 1, b: 1 }, { type: 'linear' })).toMatchObject({ key: 'type' });
    expect(await refused({ a: 1, pattern: 1 })).toMatchObject({ key: 'target_modules' });
    expect(await refused({ a: 1, b: 1 }, { type: 'ties_svd' })).toMatchObject({ key: 'density' });
    expect(await refused({ a: 1, b: 1 }, { type: 'mean' })).toBeInstanceOf(ConfigError);
    expect(await refused({})).toBeInstanceOf(ConfigError);
    expect(model.adapters).toEqual(['a', 'b', 'dora', 'head', 'pattern']);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual(['lora a']);
  });
});
