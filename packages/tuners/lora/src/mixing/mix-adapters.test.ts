import { Generator } from '@graftjs/generate';
import type { CausalLM } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdapterNameError, type PeftModel } from '@graftjs/peft';
import { type HostArray, Variable } from '@graftjs/tensor';
import { deviation } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import {
  adaptersOf,
  compiled,
  integers,
  modelWith,
  numbers,
  rowsOf,
  runtime,
  said,
  useBatches,
} from '../../test/batches.ts';
import { thrown } from '../../test/toy.ts';
import { loraConfig } from '../config.ts';
import { mixAdapters, mixedIds } from './mix-adapters.ts';
import { MixedBatchError } from './mixed-layers.ts';

useBatches();

const names = ['one', 'two', 'three', 'invoked'];
const mixed = async (): Promise<PeftModel<CausalLM>> => {
  const peft = await modelWith(...names);
  await mixAdapters(peft, 'mix', names);
  peft.setAdapter('mix');
  return peft;
};
const logitsOf = async (peft: PeftModel<CausalLM>, rows?: readonly (string | null)[]): Promise<HostArray> => {
  const inputIds = await integers('input_ids');
  const context = new Context(
    rows ? { adapterIds: new Variable([rows.length], mixedIds(peft, 'mix', rows)) } : {},
  );
  return (await runtime.evaluate([peft.model.forward({ inputIds }, context)]))[0]!;
};

test('each row has its own adapter, as in PEFT', async () => {
  const peft = await mixed();
  expect(deviation(await logitsOf(peft, adaptersOf(said.mixed)), await numbers('mixed'))).toBeLessThan(1e-4);
  const before = compiled;
  const invoked = await logitsOf(peft, adaptersOf(said.mixed_invoked));
  expect(compiled).toBe(before);
  expect(deviation(invoked, await numbers('mixed-invoked'))).toBeLessThan(1e-4);
});

test('each row is what its adapter alone gives', async () => {
  const peft = await mixed();
  const rows = ['three', null, 'two', 'invoked', 'one'];
  const together = await logitsOf(peft, rows);
  const size = together.length / rows.length;
  for (const [i, row] of rows.entries()) {
    peft.setAdapter(row === null ? [] : row);
    const alone = await logitsOf(peft);
    const part = (all: HostArray) => Array.from(all.slice(i * size, (i + 1) * size));
    expect(deviation(part(together), part(alone)), String(row)).toBeLessThan(1e-5);
  }
});

test('a generator makes texts with any of them, and compiles once', async () => {
  const peft = await mixed();
  const generator = new Generator(runtime, peft.model);
  const ids = mixedIds(peft, 'mix', adaptersOf(said.greedy));
  const [prompts, wanted] = [await rowsOf('mixed.greedy.input_ids'), await rowsOf('mixed.greedy.new_ids')];
  let after = 0;
  for (const [i, prompt] of prompts.entries()) {
    const options = { maxNewTokens: wanted[i]!.length, stopIds: [], adapterId: ids[i]! };
    expect(await generator.generate(prompt, options)).toEqual(wanted[i]);
    if (i > 0) expect(compiled).toBe(after);
    after = compiled;
  }
  generator.close();
});

test('is switched and removed like an adapter, and its adapters stay', async () => {
  const peft = await mixed();
  const rows = adaptersOf(said.mixed);
  const before = await logitsOf(peft, rows);
  const inputIds = await integers('input_ids');
  const [base] = await peft.withoutAdapters((model) =>
    runtime.evaluate([model.forward({ inputIds }, new Context())]),
  );
  expect(deviation(base!, await numbers('base'))).toBeLessThan(1e-4);
  peft.deleteAdapter('one');
  expect(await logitsOf(peft, rows)).toEqual(before);
  expect(peft.trainableParameters().size).toBe(0);
  expect(await thrown(() => peft.merge())).toMatchObject({ name: 'MergeError' });
  expect(await thrown(() => peft.encodeAdapter('mix'))).toMatchObject({ name: 'UnsupportedConfigError' });
  peft.deleteAdapter('mix');
  expect(await thrown(() => logitsOf(peft, rows))).toBeInstanceOf(AdapterNameError);
  expect(peft.activeAdapters).toEqual(['two']);
});

test('refuses what cannot differ by rows, and passes that do not say their rows', async () => {
  const peft = await mixed();
  const options = { r: 2, targetModules: ['q_proj'] };
  await peft.addAdapter('dora', loraConfig({ ...options, useDora: true }));
  await peft.addAdapter('head', loraConfig({ ...options, modulesToSave: ['lm_head'] }));
  await peft.addAdapter('bias', loraConfig({ ...options, bias: 'all' }));
  const refused = (...adapters: string[]) => thrown(() => mixAdapters(peft, 'other', adapters));
  expect(await refused('one', 'dora')).toMatchObject({ key: 'use_dora' });
  expect(await refused('head')).toMatchObject({ key: 'modules_to_save' });
  expect(await refused('bias')).toMatchObject({ key: 'bias' });
  expect(await refused('mix')).toMatchObject({ key: 'peft_type' });
  expect(await refused()).toMatchObject({ key: 'adapters' });
  expect(await refused('one', 'one')).toMatchObject({ key: 'adapters' });
  expect(await refused('nobody')).toBeInstanceOf(AdapterNameError);
  expect(await thrown(() => mixedIds(peft, 'mix', ['dora']))).toMatchObject({ key: 'adapters' });
  expect(await thrown(() => mixedIds(peft, 'one', ['one']))).toMatchObject({ key: 'peft_type' });
  expect(await thrown(() => logitsOf(peft))).toBeInstanceOf(MixedBatchError);
  expect(await thrown(() => logitsOf(peft, ['one', 'two']))).toBeInstanceOf(MixedBatchError);
  const training = new Context({ training: true, adapterIds: new Variable([5], new Int32Array(5)) });
  const inputIds = await integers('input_ids');
  expect(await thrown(() => peft.model.forward({ inputIds }, training))).toBeInstanceOf(MixedBatchError);
});
