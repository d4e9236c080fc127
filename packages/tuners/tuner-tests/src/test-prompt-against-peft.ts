import { memoryFolder, openSafetensors, readAdapter, type Weights } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { Generator } from '@graftjs/generate';
import type { CausalLM, Seq2SeqLM } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { type AdapterState, type AdapterTensor, PeftModel } from '@graftjs/peft';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deviation, openBase, type PeftCases, sorted } from './test-against-peft.ts';

/**
 * As `testAgainstPeft` for methods of prompt learning, whose files need not hold what is trained: fixtures in
 * `prompts/` have that in `trained.safetensors`, and in `adapter/` what PEFT made of it.
 */
export function testPromptAgainstPeft({
  tuner,
  fixtures,
  cases,
  tolerance = 1e-4,
  loss: meanLoss,
  partsInFile,
}: PeftCases): void {
  let gpu: Gpu;
  let runtime: Runtime;
  beforeAll(async () => {
    gpu = await openGpu();
    runtime = new Runtime(gpu, { poison: true });
  });
  afterAll(() => gpu?.close());

  describe.each(cases)('against PEFT: %s', (name) => {
    const open = async () => {
      const folder = fixtures.folder('prompts').folder(name);
      const { base } = JSON.parse(await folder.readText('case.json')) as { base: string };
      const { model, learnsFirst, ...tried } = await openBase(fixtures.folder(base));
      const peft = new PeftModel(model, { runtime, tuners: [tuner], baseModel: base });
      const expected = await openSafetensors(await folder.open('expected.safetensors'));
      const read = async (key: string): Promise<Int32Array<ArrayBuffer>> =>
        Int32Array.from(await expected.readFloat32(key));
      const shape = expected.tensors.get('input_ids')!.shape;
      const [, tokens] = shape as [number, number];
      const [, all, vocabulary] = expected.tensors.get('logits')!.shape as [number, number, number];
      const [ids, mask, labels] = [
        await read('input_ids'),
        await read('attention_mask'),
        await read('labels'),
      ];
      const front = all - tokens;
      const hasTasks = expected.tensors.has('task_ids');
      const tasks = hasTasks ? { taskIds: new Variable([shape[0]!], await read('task_ids')) } : {};
      return {
        adapter: folder.folder('adapter'),
        values: await openSafetensors(await folder.open('trained.safetensors')),
        expected,
        read,
        model,
        peft,
        lossSum: tried.lossSum,
        logits: (training = false) =>
          tried.logits(
            {
              inputIds: new Variable(shape, ids.slice()),
              keyMask: new Variable(shape, mask.slice()),
              labels: new Variable(shape, labels.slice()),
            },
            new Context({ training, ...tasks }),
          ),
        labels: new Variable(shape, labels.slice()),
        // After virtual tokens the first token of a row is learnt, too.
        supervised: labels.filter(
          (label, i) => label !== -100 && (learnsFirst || front > 0 || i % tokens > 0),
        ).length,
        isToken: (i: number): boolean => {
          const at = Math.floor(i / vocabulary);
          const [row, place] = [Math.floor(at / all), (at % all) - front];
          return learnsFirst || place < 0 || mask[row * tokens + place] === 1;
        },
      };
    };

    test('a network in training: logits, loss, every gradient, and the file it becomes', async () => {
      const { adapter, values, expected, peft, logits, lossSum, labels, supervised, isToken } = await open();
      const theirs = await readAdapter(adapter);
      const { config, unknownKeys } = tuner.parseConfig({ ...theirs.config, inference_mode: false });
      expect(unknownKeys).toEqual([]);
      expect((await peft.addAdapter('default', config)).warnings).toEqual([]);
      if (partsInFile) peft.attached('default').fromStateDict(await stateOf(theirs.tensors));
      const trained = peft.trainableParameters();
      const keys = [...trained.keys()].map((key) => key.replace(/^prompt_encoder\.default\./, ''));
      expect(keys.slice().sort()).toEqual([...values.tensors.keys()].sort());
      for (const [i, parameter] of [...trained.values()].entries())
        parameter.set(Float32Array.from(await values.readFloat32(keys[i]!)));

      // Built where the pass is one of training, and with the adapter on.
      const output = logits(true);
      const loss = meanLoss?.(output, labels, config) ?? mul(lossSum(output, labels), 1 / supervised);
      const got = await runtime.evaluate([output, loss, ...gradients(loss, [...trained.values()])]);
      const wanted = await expected.readFloat32('logits');
      expect(deviation(got[0]!, wanted, isToken), 'logits').toBeLessThan(tolerance);
      expect(deviation(got[1]!, await expected.readFloat32('loss')), 'loss').toBeLessThan(tolerance);
      for (const [i, key] of keys.entries())
        expect(deviation(got[2 + i]!, await expected.readFloat32(`grad.${key}`)), key).toBeLessThan(
          tolerance,
        );

      const ours = await readAdapter(memoryFolder(new Map(Object.entries(await peft.encodeAdapter()))));
      expect([...ours.tensors.tensors.keys()]).toEqual([...theirs.tensors.tensors.keys()]);
      for (const key of theirs.tensors.tensors.keys())
        expect(
          deviation(await ours.tensors.readFloat32(key), await theirs.tensors.readFloat32(key)),
          key,
        ).toBeLessThan(1e-5);
      expect(sorted(Object.entries(ours.config))).toEqual(sorted(Object.entries(theirs.config)));
    });

    test("PEFT's file: the same logits, and written again the same bits", async () => {
      const { adapter, expected, peft, logits, isToken } = await open();
      const report = await peft.loadAdapter(adapter, 'default', { trainable: false });
      expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [], warnings: [] });
      const [got] = await runtime.evaluate([logits()]);
      expect(deviation(got!, await expected.readFloat32('logits'), isToken)).toBeLessThan(tolerance);
      const files = await peft.encodeAdapter();
      const ours = await readAdapter(memoryFolder(new Map(Object.entries(files))));
      const theirs = await readAdapter(adapter);
      expect(sorted(Object.entries(ours.config))).toEqual(sorted(Object.entries(theirs.config)));
      for (const key of theirs.tensors.tensors.keys())
        expect(await ours.tensors.readFloat32(key), key).toEqual(await theirs.tensors.readFloat32(key));
    });

    test("PEFT's greedy tokens, with a cache", async ({ skip }) => {
      const { adapter, expected, read, peft, model } = await open();
      if (!expected.tensors.has('greedy.new_ids')) skip('PEFT generated none');
      await peft.loadAdapter(adapter);
      const wanted = await read('greedy.new_ids');
      const generator = new Generator(runtime, model as CausalLM | Seq2SeqLM);
      const options = { maxNewTokens: wanted.length, stopIds: [] };
      expect(await generator.generate(await read('greedy.input_ids'), options)).toEqual([...wanted]);
      generator.close();
    });
  });
}

async function stateOf(file: Weights): Promise<AdapterState> {
  const state = new Map<string, AdapterTensor>();
  for (const [key, { shape }] of file.tensors)
    state.set(key, { shape, data: Float32Array.from(await file.readFloat32(key)) });
  return state;
}
