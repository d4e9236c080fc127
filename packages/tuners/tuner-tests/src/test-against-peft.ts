import { type Folder, memoryFolder, openSafetensors, readAdapter, type Weights } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { architectures, loadModel, seq2seqArchitectures } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { type AdapterConfig, MergeError, PeftModel, type Tuner } from '@graftjs/peft';
import { gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AnyModel, anyModel } from './any-model.ts';

export interface PeftCases {
  readonly tuner: Tuner;
  /**
   * A folder of fixtures made with Hugging Face PEFT: base models, and in `methods/` one folder a case with `adapter/`,
   * `case.json` and `expected.safetensors`.
   */
  readonly fixtures: Folder;
  /** Names of the cases. */
  readonly cases: readonly string[];
  /** How far numbers may be apart, relative to their size. Default 1e-4. */
  readonly tolerance?: number;
  /** The mean loss where it is not that of the labels alone. */
  readonly loss?: (logits: Tensor, labels: Tensor, config: AdapterConfig) => Tensor;
  /** The adapter's file holds parts of a prompt that are not trained: they are read from there. */
  readonly partsInFile?: boolean;
  /** Keys of `adapter_config.json` that this side writes otherwise, and why. */
  readonly otherwise?: Readonly<Record<string, string>>;
}

/**
 * The tests of a tuner against Hugging Face PEFT: adapters made there give the same logits, loss and gradients here,
 * and written again they are the same files, so that they load there.
 */
export function testAgainstPeft({
  tuner,
  fixtures,
  cases,
  tolerance = 1e-4,
  otherwise = {},
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
      const folder = fixtures.folder('methods').folder(name);
      const { base } = JSON.parse(await folder.readText('case.json')) as { base: string };
      const tried = await openBase(fixtures.folder(base));
      const { model } = tried;
      const peft = new PeftModel(model, { runtime, tuners: [tuner], baseModel: base });
      const report = await peft.loadAdapter(folder.folder('adapter'));
      expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [] });
      const expected = await openSafetensors(await folder.open('expected.safetensors'));
      return { folder, tried, peft, expected, batch: await batchOf(expected, tried) };
    };

    test('logits, loss and every gradient', async () => {
      const { tried, peft, expected, batch } = await open();
      const trained = peft.trainableParameters();
      const logits = tried.logits(batch, contextOf(batch));
      const loss = mul(tried.lossSum(logits, batch.labels), 1 / batch.supervised);
      const got = await runtime.evaluate([logits, loss, ...gradients(loss, [...trained.values()])]);
      const wanted = await expected.readFloat32('logits');
      expect(deviation(got[0]!, wanted, batch.isToken), 'logits').toBeLessThan(tolerance);
      expect(deviation(got[1]!, await expected.readFloat32('loss')), 'loss').toBeLessThan(tolerance);
      const keys = [...trained.keys()].map(onDisk);
      const there = [...expected.tensors.keys()].flatMap((key) =>
        key.startsWith('grad.') ? [key.slice(5)] : [],
      );
      if (there.length > 0) expect(keys.slice().sort()).toEqual(there.sort());
      for (const [i, key] of keys.entries())
        if (there.length > 0)
          expect(deviation(got[2 + i]!, await expected.readFloat32(`grad.${key}`)), key).toBeLessThan(
            tolerance,
          );
    });

    test('merged, or refused', async () => {
      const { tried, peft, expected, batch } = await open();
      const there = expected.tensors.has('merged_logits');
      const error = await peft.mergeAndUnload({ safe: true }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error !== undefined && !there) {
        expect(error).toBeInstanceOf(MergeError);
        return;
      }
      expect(error).toBeUndefined();
      const [got] = await runtime.evaluate([tried.logits(batch, contextOf(batch))]);
      const wanted = await expected.readFloat32(there ? 'merged_logits' : 'logits');
      expect(deviation(got!, wanted, batch.isToken)).toBeLessThan(tolerance);
    });

    test('written again: the same tensors and config', async () => {
      const { folder, peft } = await open();
      const ours = await readAdapter(memoryFolder(new Map(Object.entries(await peft.encodeAdapter()))));
      const theirs = await readAdapter(folder.folder('adapter'));
      expect([...ours.tensors.tensors.keys()].sort()).toEqual([...theirs.tensors.tensors.keys()].sort());
      for (const key of theirs.tensors.tensors.keys())
        expect(await ours.tensors.readFloat32(key), key).toEqual(await theirs.tensors.readFloat32(key));
      const same = ([key]: [string, unknown]): boolean => !(key in otherwise);
      expect(sorted(Object.entries(ours.config).filter(same))).toEqual(
        sorted(Object.entries(theirs.config).filter(same)),
      );
    });
  });
}

/** A base of the fixtures, of any kind. */
export async function openBase(folder: Folder): Promise<AnyModel> {
  const kinds = [...architectures, ...seq2seqArchitectures];
  return anyModel((await loadModel(folder, { architectures: kinds })).model);
}

interface PeftBatch {
  readonly inputIds: Variable;
  readonly keyMask: Variable;
  readonly labels: Variable;
  /** Of its rows, where the adapter has several tasks. */
  readonly taskIds?: Variable;
  /** Tokens that count in the loss. */
  readonly supervised: number;
  /** Whether an element of the logits is of a token, not of padding. */
  readonly isToken: (i: number) => boolean;
}

async function batchOf(expected: Weights, { learnsFirst }: AnyModel): Promise<PeftBatch> {
  const { shape } = expected.tensors.get('input_ids')!;
  const read = async (name: string): Promise<Int32Array<ArrayBuffer>> =>
    Int32Array.from(await expected.readFloat32(name));
  const [mask, labels] = [await read('attention_mask'), await read('labels')];
  const vocabulary = expected.tensors.get('logits')!.shape.at(-1)!;
  return {
    inputIds: new Variable(shape, await read('input_ids')),
    keyMask: new Variable(shape, mask.slice()),
    labels: new Variable(shape, labels.slice()),
    ...(expected.tensors.has('task_ids')
      ? { taskIds: new Variable([shape[0]!], await read('task_ids')) }
      : {}),
    supervised: labels.filter((label, i) => label !== -100 && (learnsFirst || i % shape[1]! > 0)).length,
    // A decoder behind an encoder reads padding as any token, there and here.
    isToken: (i) => learnsFirst || mask[Math.floor(i / vocabulary)] === 1,
  };
}

const contextOf = ({ taskIds }: PeftBatch): Context => new Context(taskIds ? { taskIds } : {});

/** A name in memory without the adapter's. */
export const onDisk = (name: string): string =>
  name.replace(/\.(modules_to_save\.)?default(?=\.|$)/, '').replace(/(lora_magnitude_vector)\.weight$/, '$1');

/** Sets have no order in Python. */
export const sorted = (entries: [string, unknown][]): [string, unknown][] =>
  entries
    .map(([key, value]): [string, unknown] => [key, Array.isArray(value) ? [...value].sort() : value])
    .sort(([a], [b]) => (a < b ? -1 : 1));

/** The largest |a - b| / max(|b|, rms(b)) over the elements that count. */
export function deviation(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  counts = (_: number): boolean => true,
): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [squares, n] = [0, 0];
  for (let i = 0; i < b.length; i++)
    if (counts(i)) {
      squares += b[i]! ** 2;
      n++;
    }
  const rms = Math.sqrt(squares / n);
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    if (!counts(i)) continue;
    const error = Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(b[i]!), rms, 1e-30);
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }
  return worst;
}
