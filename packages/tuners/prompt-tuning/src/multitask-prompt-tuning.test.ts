import { memoryFolder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { CausalLM } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { type AdapterState, AdapterStateError, ConfigError, PeftModel, TaskIdsError } from '@graftjs/peft';
import { Variable } from '@graftjs/tensor';
import { smallModel } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MultitaskPromptTuningOptions, multitaskPromptTuningConfig } from './multitask-config.ts';
import { multitaskPromptTuning, multitaskPromptTuningWith } from './multitask-prompt-tuning.ts';

let gpu: Gpu;
let runtime: Runtime;
let model: CausalLM;
let peft: PeftModel<CausalLM>;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());
beforeEach(() => {
  runtime = new Runtime(gpu);
  model = smallModel('llama');
  peft = new PeftModel(model, { runtime, tuners: [multitaskPromptTuning] });
});

const n = { numVirtualTokens: 2 };
const logits = async (ids: readonly number[], taskIds?: readonly number[]): Promise<Float32Array> => {
  const rows = taskIds?.length ?? 1;
  const inputIds = new Variable([rows, ids.length / rows], Int32Array.from(ids));
  const context = new Context(taskIds ? { taskIds: new Variable([rows], Int32Array.from(taskIds)) } : {});
  return (await runtime.evaluate([model.forward({ inputIds }, context)]))[0] as Float32Array;
};

test('each text has the prompt of its task; one task needs no naming', async () => {
  await peft.addAdapter('a', multitaskPromptTuningConfig({ ...n, numTasks: 3 }));
  const text = [5, 6, 7];
  const [zero, two] = [await logits(text, [0]), await logits(text, [2])];
  expect(two).not.toEqual(zero);
  const both = await logits([...text, ...text], [2, 0]);
  const distance = both.reduce((most, x, i) => Math.max(most, Math.abs(x - [...two, ...zero][i]!)), 0);
  expect(distance).toBeLessThan(1e-5);
  await expect(logits(text)).rejects.toThrow(TaskIdsError);

  await peft.addAdapter('b', multitaskPromptTuningConfig(n));
  peft.setAdapter('b');
  expect(await logits(text)).toEqual(await logits(text, [0]));
});

test('a prompt starts from that of source tasks', async () => {
  const source = new Map(
    Object.entries({
      prompt_embeddings: [2, 16],
      prefix_task_cols: [2, 2, 2],
      prefix_task_rows: [2, 2, 16],
    }).map(([key, shape]) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [key, { shape, data: Float32Array.from({ length }, (_, i) => i + key.length) }];
    }),
  );
  const of = async (options: Partial<MultitaskPromptTuningOptions>): Promise<AdapterState> => {
    const tuner = multitaskPromptTuningWith({ source });
    const target = new PeftModel(smallModel('llama'), { runtime, tuners: [tuner] });
    const config = { ...n, numRanks: 2, promptTuningInitStateDictPath: 'source', ...options };
    await target.addAdapter('a', multitaskPromptTuningConfig(config));
    const parameters = [...target.trainableParameters()];
    return new Map(
      await Promise.all(
        parameters.map(async ([key, p]) => {
          const data = (await runtime.read(p)) as Float32Array;
          return [key.split('.')[2]!, { shape: p.shape, data }] as const;
        }),
      ),
    );
  };
  const [cols, shared] = [source.get('prefix_task_cols')!.data, source.get('prompt_embeddings')!.data];
  const half = cols.length / 2;

  const exact = await of({ promptTuningInit: 'EXACT_SOURCE_TASK', promptTuningInitTask: 1 });
  expect(exact.get('prefix_task_cols')).toEqual({ shape: [1, 2, 2], data: cols.slice(half) });
  expect(exact.get('embedding')!.data).toEqual(shared);

  const mean = await of({ promptTuningInit: 'AVERAGE_SOURCE_TASKS' });
  expect(mean.get('prefix_task_cols')!.data).toEqual(
    cols.slice(0, half).map((x, i) => (x + cols[half + i]!) / 2),
  );
  expect(mean.get('prefix_task_rows')!.shape).toEqual([1, 2, 16]);

  const only = await of({ promptTuningInit: 'ONLY_SOURCE_SHARED', numTasks: 4 });
  expect(only.get('embedding')!.data).toEqual(shared);
  expect(only.get('prefix_task_cols')!.shape).toEqual([4, 2, 2]);
  expect(only.get('prefix_task_cols')!.data.every((x) => Math.abs(x) < 0.2)).toBe(true);

  const late = of({ promptTuningInit: 'EXACT_SOURCE_TASK', promptTuningInitTask: 2 });
  await expect(late).rejects.toThrow('the source has 2 tasks, counted from 0');
  await expect(of({ promptTuningInit: 'EXACT_SOURCE_TASK', numRanks: 1 })).rejects.toThrow(AdapterStateError);
  source.delete('prefix_task_rows');
  await expect(of({ promptTuningInit: 'AVERAGE_SOURCE_TASKS' })).rejects.toThrow('missing: prefix_task_rows');
});

test('what cannot be is refused', async () => {
  const config = { ...n, promptTuningInitStateDictPath: 'source' };
  expect(() => multitaskPromptTuningConfig({ ...n, promptTuningInit: 'ONLY_SOURCE_SHARED' })).toThrow(
    ConfigError,
  );
  expect(() =>
    multitaskPromptTuningConfig({ ...config, promptTuningInit: 'AVERAGE_SOURCE_TASKS', numTasks: 2 }),
  ).toThrow('num_tasks: must be 1 with AVERAGE_SOURCE_TASKS');
  const add = peft.addAdapter(
    'a',
    multitaskPromptTuningConfig({ ...config, promptTuningInit: 'ONLY_SOURCE_SHARED' }),
  );
  await expect(add).rejects.toThrow('needs a source');
});

test('saved and loaded, the tasks are the same', async () => {
  await peft.addAdapter('a', multitaskPromptTuningConfig({ ...n, numTasks: 2 }));
  const before = await logits([1, 2, 3, 4], [1, 0]);
  const files = await peft.encodeAdapter('a');
  await peft.loadAdapter(memoryFolder(new Map(Object.entries(files))), 'b');
  peft.setAdapter('b');
  expect(await logits([1, 2, 3, 4], [1, 0])).toEqual(before);
});
