import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadModel, type T5ForConditionalGeneration, t5 } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { concat, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ContextLengthError, Generator, Sampler } from './index.ts';

const fixtures = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));
const bases = ['t5', 't5-gated-untied', 't5-gated-tied'];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const open = async (base: string) => {
  const folder = nodeFolder(`${fixtures}${base}`);
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const read = async (name: string): Promise<number[]> => [...(await expected.readFloat32(name))];
  return { model: (await loadModel(folder, { architectures: [t5] })).model, read };
};

const ids = (values: readonly number[]): Variable =>
  new Variable([1, values.length], Int32Array.from(values), { dtype: 'i32' });

/** Greedy tokens, encoder and decoder computed anew for each. */
async function uncached(
  model: T5ForConditionalGeneration,
  source: readonly number[],
  count: number,
): Promise<number[]> {
  const said = [model.config.decoderStartTokenId];
  while (said.length <= count) {
    const logits = model.forward({ inputIds: ids(source), decoderInputIds: ids(said) }, new Context());
    const [values] = await runtime.evaluate([logits]);
    said.push(new Sampler().next(Array.from(values!).slice(-model.config.vocabSize)));
  }
  return said.slice(1);
}

describe.each(bases)('%s', (base) => {
  test('greedy tokens are those of transformers', async () => {
    const { model, read } = await open(base);
    const generator = new Generator(runtime, model);
    for (const length of [12, 5, 12]) {
      const made = await read(`greedy.${length}.new_ids`);
      const source = await read(`greedy.${length}.input_ids`);
      const options = { maxNewTokens: made.length, stopIds: [] };
      expect(await generator.generate(source, options), `source of ${length}`).toEqual(made);
    }
    generator.close();
  });
});

test('across the lengths that sources and caches are padded to, caches change no token', async () => {
  const { model } = await open('t5-gated-untied');
  const generator = new Generator(runtime, model);
  const source = Array.from({ length: 65 }, (_, i) => (i * 37 + 11) % model.config.vocabSize);
  for (const length of [1, 64, 65]) {
    const part = source.slice(0, length);
    const made = await generator.generate(part, { maxNewTokens: 3, stopIds: [] });
    expect(made, `source of ${length}`).toEqual(await uncached(model, part, 3));
  }
  generator.close();
});

test('what attachments put in front of either side stays there', async () => {
  const { model } = await open('t5');
  const source = [20, 30, 40, 50];
  const rows = async (front: readonly number[]): Promise<Tensor> =>
    runtime.materialize(model.shared.forward(ids(front), new Context()));
  const [encoderRows, decoderRows] = [await rows([7, 8, 9]), await rows([60, 61])];
  const attach = ({ output }: typeof model.shared, front: Tensor): void =>
    output.attach('prompt', (embedded, { context }) =>
      context.continues ? embedded : concat([front, embedded], 1),
    );
  const plain = await uncached(model, [7, 8, 9, ...source], 6);
  attach(model.inputEmbeddings, encoderRows);
  expect(await uncached(model, source, 6)).toEqual(plain);
  const read = async (): Promise<number[]> => {
    const generator = new Generator(runtime, model);
    const made = await generator.generate(source, { maxNewTokens: 6, stopIds: [] });
    generator.close();
    return made;
  };
  expect(await read()).toEqual(plain);
  attach(model.decoderEmbeddings, decoderRows);
  const both = await uncached(model, source, 6);
  expect(both).not.toEqual(plain);
  expect(await read()).toEqual(both);
});

test('texts stop, stream, are sampled by seed, and may be made at the same time', async () => {
  const { model, read } = await open('t5');
  const generator = new Generator(runtime, model);
  const [source, other] = [await read('greedy.12.input_ids'), await read('greedy.5.input_ids')];
  const greedy = await read('greedy.12.new_ids');
  const last = greedy.findIndex((id, i) => i > 2 && greedy.indexOf(id) === i);
  const stopped = await generator.generate(source, { maxNewTokens: 16, stopIds: [greedy[last]!] });
  expect(stopped).toEqual(greedy.slice(0, last));

  const seen: number[] = [];
  for await (const id of generator.stream(source, { maxNewTokens: 16, stopIds: [] })) {
    seen.push(id);
    if (seen.length === 4) break;
  }
  expect(seen).toEqual(greedy.slice(0, 4));

  const sample = (seed: number) =>
    generator.generate(source, { maxNewTokens: 8, stopIds: [], temperature: 1.5, seed });
  const [one, again, two] = await Promise.all([sample(1), sample(1), sample(2)]);
  expect(again).toEqual(one);
  expect(two).not.toEqual(one);
  const both = await Promise.all(
    [source, other].map((ids) => generator.generate(ids, { maxNewTokens: 6, stopIds: [] })),
  );
  expect(both).toEqual([greedy.slice(0, 6), (await read('greedy.5.new_ids')).slice(0, 6)]);
  await expect(generator.generate([], { maxNewTokens: 1 })).rejects.toThrow(ContextLengthError);
  await expect(generator.generate([96], { maxNewTokens: 1 })).rejects.toThrow('not in the model');
  generator.close();
});
