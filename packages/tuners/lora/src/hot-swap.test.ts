import { type MemoryFiles, memoryFolder } from '@graftjs/checkpoint';
import { Context } from '@graftjs/nn';
import { AdapterStateError, MergedError } from '@graftjs/peft';
import { deviation } from '@graftjs/tuner-tests';
import { describe, expect, test } from 'vitest';
import {
  compiled,
  folder,
  integers,
  modelWith,
  numbers,
  runtime,
  said,
  useBatches,
} from '../test/batches.ts';
import { add, model, output, thrown, train, useToy, valuesOf } from '../test/toy.ts';
import type { LoraOptions } from './config.ts';
import { hotSwap } from './hot-swap.ts';

useToy();
useBatches();

test.each(Object.entries(said.swaps))('%s: as in PEFT, and nothing is compiled', async (key, [old, next]) => {
  const peft = await modelWith(old);
  const inputIds = await integers('input_ids');
  const logits = () => peft.model.forward({ inputIds }, new Context());
  const program = await runtime.compile({ outputs: [logits()] });
  await program.run();
  const [kernels, pipelines] = [compiled, runtime.gpu.stats().pipelines];
  const report = await hotSwap(peft, old, folder.folder(next));
  expect(report.unknownConfigKeys).toEqual([]);
  const [swapped] = await program.run();
  expect(deviation(swapped!, await numbers(key))).toBeLessThan(1e-4);
  expect((await runtime.evaluate([logits()]))[0]).toEqual(swapped);
  expect([compiled, runtime.gpu.stats().pipelines]).toEqual([kernels, pipelines]);
});

const start = { initLoraWeights: false } as const;
const filesOf = async (name: string): Promise<MemoryFiles> =>
  new Map(Object.entries(await model.encodeAdapter(name)));

describe.each([
  ['plain', start],
  ['DoRA', { initLoraWeights: true, useDora: true }],
] satisfies [string, LoraOptions][])('%s', (_, options) => {
  test('from another adapter of the model: its effect, and once more when it is saved', async () => {
    await add('a', { ...options, r: 4 }, 1);
    await add('b', { ...options, r: 2, loraAlpha: 7, useRslora: true, alphaPattern: { o_proj: 3 } }, 2);
    model.setAdapter('b');
    await train(model);
    const wanted = await output();
    expect(await hotSwap(model, 'a', 'b')).toEqual({ unchanged: [], unknownConfigKeys: [] });
    model.setAdapter('a');
    expect(deviation(await output(), wanted)).toBeLessThan(1e-5);
    await model.loadAdapter(memoryFolder(await filesOf('a')), 'c');
    const got = await output();
    model.setAdapter('c');
    expect(await output()).toEqual(got);
  });

  test('modules that the new one leaves alone have no change', async () => {
    await add('a', { ...options }, 1);
    model.setAdapter('a');
    await train(model);
    await add('b', { ...options, targetModules: ['q_proj'] }, 2);
    model.setAdapter('b');
    await train(model);
    const wanted = await output();
    const { unchanged } = await hotSwap(model, 'a', 'b');
    expect(unchanged).toEqual(['layers.0.v_proj', 'layers.0.o_proj', 'layers.1.v_proj', 'layers.1.o_proj']);
    model.setAdapter('a');
    expect(deviation(await output(), wanted)).toBeLessThan(1e-5);
  });
});

test('refuses other configs, modules and shapes, and changes nothing', async () => {
  await add('a', { ...start, r: 4 }, 1);
  const others: readonly [string, LoraOptions][] = [
    ['use_dora', { useDora: true }],
    ['lora_bias', { loraBias: true, targetModules: ['v_proj'] }],
    ['lora_dropout', { loraDropout: 0.1 }],
    ['modules_to_save', { modulesToSave: ['lm_head'] }],
    ['bias', { bias: 'all' }],
  ];
  for (const [i, [, options]] of others.entries()) await add(`other${i}`, options);
  await add('wide', { r: 5 });
  await add('narrow', { r: 2, targetModules: ['q_proj'] });
  const before = await valuesOf([...model.attached('a').namedParameters()].map(([, p]) => p));
  for (const [i, [key]] of others.entries())
    expect(await thrown(() => hotSwap(model, 'a', `other${i}`))).toMatchObject({ key });
  expect(await thrown(() => hotSwap(model, 'a', 'wide'))).toBeInstanceOf(AdapterStateError);
  expect(await thrown(() => hotSwap(model, 'narrow', 'a'))).toMatchObject({
    unexpected: expect.arrayContaining(['base_model.model.layers.0.v_proj.lora_A.weight']),
  });
  expect(await valuesOf([...model.attached('a').namedParameters()].map(([, p]) => p))).toEqual(before);
  model.setAdapter('a');
  await model.merge();
  expect(await thrown(() => hotSwap(model, 'a', 'narrow'))).toBeInstanceOf(MergedError);
});
