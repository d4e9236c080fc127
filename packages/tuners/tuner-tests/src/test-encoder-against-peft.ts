import { memoryFolder, openSafetensors, readAdapter } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import {
  type Architecture,
  type EncoderModel,
  labelLossSum,
  loadModel,
  maskedLMs,
  questionAnswerers,
  sequenceClassifiers,
  spanLossSum,
  tokenClassifiers,
} from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { PeftModel, PROMPT_KEY } from '@graftjs/peft';
import { add, gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deviation, onDisk, type PeftCases, sorted } from './test-against-peft.ts';

const heads: Readonly<Record<string, readonly Architecture<EncoderModel>[]>> = {
  'masked-lm': maskedLMs,
  sequence: sequenceClassifiers,
  tokens: tokenClassifiers,
  answers: questionAnswerers,
};

/**
 * As `testAgainstPeft` for encoders with heads, which PEFT trains whole beside an adapter of their task; fixtures are in
 * `encoders/` and `encoder-adapters/`.
 */
export function testEncoderAgainstPeft({ tuner, fixtures, cases, tolerance = 1e-4 }: PeftCases): void {
  let gpu: Gpu;
  let runtime: Runtime;
  beforeAll(async () => {
    gpu = await openGpu();
    runtime = new Runtime(gpu, { poison: true });
  });
  afterAll(() => gpu?.close());

  test.each(cases)('%s: logits, loss, every gradient, and the file written again', async (name) => {
    const folder = fixtures.folder('encoder-adapters').folder(name);
    const { base } = JSON.parse(await folder.readText('case.json')) as { base: string };
    const head = Object.keys(heads).find((kind) => base.endsWith(`-${kind}`))!;
    const { model } = await loadModel(fixtures.folder('encoders').folder(base), {
      architectures: heads[head]!,
    });
    const peft = new PeftModel(model, { runtime, tuners: [tuner], baseModel: base });
    const theirs = await readAdapter(folder.folder('adapter'));
    const expected = await openSafetensors(await folder.open('expected.safetensors'));
    const slopes = [...expected.tensors.keys()].flatMap((key) =>
      key.startsWith('grad.') ? [key.slice(5)] : [],
    );
    const report = await peft.loadAdapter(folder.folder('adapter'));
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [] });

    const ints = async (key: string): Promise<Variable> =>
      new Variable(expected.tensors.get(key)!.shape, Int32Array.from(await expected.readFloat32(key)));
    const inputs = {
      inputIds: await ints('input_ids'),
      keyMask: await ints('attention_mask'),
      ...(expected.tensors.has('token_type_ids') ? { tokenTypeIds: await ints('token_type_ids') } : {}),
    };
    const mask = await expected.readFloat32('attention_mask');
    const logits = model.forward(inputs, new Context());
    const loss = await lossOf(head, logits, ints);
    const trained = peft.trainableParameters();
    const got = await runtime.evaluate([logits, loss, ...gradients(loss, [...trained.values()])]);
    const each = logits.size / mask.length;
    const isToken = (i: number): boolean => logits.rank === 2 || mask[Math.floor(i / each)] === 1;
    const wanted = await expected.readFloat32('logits');
    expect(deviation(got[0]!, wanted, isToken), 'logits').toBeLessThan(tolerance);
    expect(deviation(got[1]!, await expected.readFloat32('loss')), 'loss').toBeLessThan(tolerance);
    // a prompt's table has a name of its own in the file
    const keys = [...trained.keys()].map((key) =>
      key.startsWith('prompt_encoder.') ? PROMPT_KEY : onDisk(key),
    );
    expect(keys.slice().sort()).toEqual(slopes.sort());
    for (const [i, key] of keys.entries())
      expect(deviation(got[2 + i]!, await expected.readFloat32(`grad.${key}`)), key).toBeLessThan(tolerance);

    const ours = await readAdapter(memoryFolder(new Map(Object.entries(await peft.encodeAdapter()))));
    expect([...ours.tensors.tensors.keys()].sort()).toEqual([...theirs.tensors.tensors.keys()].sort());
    for (const key of theirs.tensors.tensors.keys())
      expect(await ours.tensors.readFloat32(key), key).toEqual(await theirs.tensors.readFloat32(key));
    const plain = (config: object) =>
      sorted(
        Object.entries(config)
          .filter(([key]) => key !== 'inference_mode')
          // PEFT names a prompt's heads twice
          .map(([key, value]) => [key, key === 'modules_to_save' && value ? [...new Set(value)] : value]),
      );
    expect(plain(ours.config)).toEqual(plain(theirs.config));
  });
}

/** The mean loss as transformers takes it. */
async function lossOf(
  head: string,
  logits: Tensor,
  ints: (key: string) => Promise<Variable>,
): Promise<Tensor> {
  const count = ({ pending }: Variable, most: number): number =>
    [...pending!].filter((label) => label >= 0 && label < most).length;
  if (head !== 'answers') {
    const labels = await ints('labels');
    return mul(labelLossSum(logits, labels), 1 / count(labels, Number.POSITIVE_INFINITY));
  }
  const none = new Variable([logits.shape[0]!], new Int32Array(logits.shape[0]!).fill(-100));
  const [starts, ends] = [await ints('start_positions'), await ints('end_positions')];
  return add(
    mul(spanLossSum(logits, starts, none), 1 / count(starts, logits.shape[1]!)),
    mul(spanLossSum(logits, none, ends), 1 / count(ends, logits.shape[1]!)),
  );
}
