import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type MemoryFiles, memoryFolder, openSafetensors, type Weights } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { Context, DropoutSeedError } from '@graftjs/nn';
import { gradients, mul, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  seq2seqArchitectures as architectures,
  loadModel,
  newModel,
  parseConfig,
  saveModel,
  seq2seqLossSum,
  shiftRight,
  t5,
} from '../index.ts';

const fixtures = fileURLToPath(new URL('../../../../../tools/oracle/fixtures/', import.meta.url));
const bases = ['t5', 't5-gated-untied', 't5-gated-tied'];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const i32 = async (w: Weights, name: string): Promise<Variable> =>
  new Variable(w.tensors.get(name)!.shape, Int32Array.from(await w.readFloat32(name)), { dtype: 'i32' });

/** max |a - b| / max(|b|, rms(b)), over the elements that count. */
function relative(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  counts: (i: number) => boolean = () => true,
): number {
  expect(a.length).toBe(b.length);
  const chosen = Array.from(b, (_, i) => i).filter(counts);
  const rms = Math.sqrt(chosen.reduce((sum, i) => sum + b[i]! ** 2, 0) / chosen.length);
  return chosen.reduce((worst, i) => {
    const error = Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(b[i]!), rms);
    return Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }, 0);
}

const open = async (base: string) => {
  const folder = nodeFolder(`${fixtures}${base}`);
  const { model } = await loadModel(folder, { architectures: [t5] });
  return { folder, model, expected: await openSafetensors(await folder.open('expected.safetensors')) };
};

describe.each(bases)('%s against transformers', (base) => {
  test('logits, loss and the gradient of every weight', async () => {
    const { model, expected } = await open(base);
    const [inputIds, keyMask, labels] = [
      await i32(expected, 'input_ids'),
      await i32(expected, 'attention_mask'),
      await i32(expected, 'labels'),
    ];
    const mask = await expected.readFloat32('attention_mask');
    const learnt = (await expected.readFloat32('labels')).filter((label) => label !== -100).length;
    const decoderInputIds = shiftRight(labels, model.config);
    const logits = model.forward({ inputIds, keyMask, decoderInputIds }, new Context());
    const { states } = model.encode({ inputIds, keyMask }, new Context());
    const loss = mul(seq2seqLossSum(logits, labels), 1 / learnt);
    const parameters = new Map(model.namedParameters());
    const names = [...expected.tensors.keys()].flatMap((n) => (n.startsWith('grad.') ? [n.slice(5)] : []));
    expect(names.sort()).toEqual([...parameters.keys()].sort());
    const got = await runtime.evaluate([
      logits,
      loss,
      states,
      ...gradients(
        loss,
        names.map((name) => parameters.get(name)!),
      ),
    ]);
    const width = model.config.hiddenSize;
    const isToken = (i: number): boolean => mask[Math.floor(i / width)] === 1;
    expect(relative(got[0]!, await expected.readFloat32('logits'))).toBeLessThan(1e-4);
    expect(relative(got[1]!, await expected.readFloat32('loss'))).toBeLessThan(1e-5);
    expect(relative(got[2]!, await expected.readFloat32('encoder_states'), isToken)).toBeLessThan(1e-4);
    for (const [k, name] of names.entries())
      expect(relative(got[3 + k]!, await expected.readFloat32(`grad.${name}`)), name).toBeLessThan(1e-4);
  });

  test('saved, its files are those of transformers', async () => {
    const files: MemoryFiles = new Map();
    const folder = nodeFolder(`${fixtures}${base}`);
    await saveModel(runtime, memoryFolder(files), await loadModel(folder, { architectures }));
    const theirs = (name: string): Uint8Array => new Uint8Array(readFileSync(`${fixtures}${base}/${name}`));
    const json = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));
    expect(Buffer.compare(files.get('model.safetensors')!, theirs('model.safetensors'))).toBe(0);
    for (const name of ['config.json', 'generation_config.json'])
      expect(json(files.get(name)!)).toEqual(json(theirs(name)));
  });
});

test('a head in the file is the model’s own, as transformers 4 and 5 say it', async () => {
  const read = async (change: Record<string, unknown>) => {
    const folder = nodeFolder(`${fixtures}t5-gated-untied`);
    const config = JSON.parse(await folder.readText('config.json'));
    const files: MemoryFiles = new Map([
      ['config.json', new TextEncoder().encode(JSON.stringify({ ...config, ...change }))],
      ['model.safetensors', new Uint8Array(readFileSync(`${fixtures}t5-gated-untied/model.safetensors`))],
    ]);
    const { tieWordEmbeddings, scalesOutput } = (
      await loadModel(memoryFolder(files), { architectures: [t5] })
    ).config;
    return { tieWordEmbeddings, scalesOutput };
  };
  expect(await read({})).toEqual({ tieWordEmbeddings: false, scalesOutput: false });
  expect(await read({ tie_word_embeddings: false, scale_decoder_outputs: undefined })).toEqual({
    tieWordEmbeddings: false,
    scalesOutput: false,
  });
  expect(await read({ scale_decoder_outputs: undefined })).toEqual({
    tieWordEmbeddings: false,
    scalesOutput: true,
  });
});

describe('config.json', () => {
  const of = (change: Record<string, unknown>, generation = {}) =>
    parseConfig({ model_type: 't5', ...change }, { architectures: [t5], generation });

  // configuration_t5.py of transformers 5.23.0.
  test('has the defaults of transformers where it is silent', () => {
    expect(of({})).toMatchObject({
      vocabSize: 32128,
      hiddenSize: 512,
      intermediateSize: 2048,
      layers: 6,
      decoderLayers: 6,
      heads: 8,
      headDim: 64,
      activation: 'relu',
      isGated: false,
      normEps: 1e-6,
      dropout: 0.1,
      relativeBuckets: 32,
      relativeMaxDistance: 128,
      tieWordEmbeddings: true,
      scalesOutput: true,
      eosTokenIds: [1],
      padTokenId: 0,
      decoderStartTokenId: 0,
    });
  });

  test('names the activation, and its gate', () => {
    const read = (feed_forward_proj: string) => {
      const { activation, isGated } = of({ feed_forward_proj });
      return [activation, isGated];
    };
    expect(read('gated-gelu')).toEqual(['gelu_new', true]);
    expect(read('gelu')).toEqual(['gelu', false]);
    expect(read('gated-silu')).toEqual(['silu', true]);
  });

  test('says what the decoder begins with', () => {
    expect(of({ decoder_start_token_id: 7 }).decoderStartTokenId).toBe(7);
    expect(of({ decoder_start_token_id: 7 }, { decoder_start_token_id: 8 }).decoderStartTokenId).toBe(8);
    expect(of({ pad_token_id: 3 }).decoderStartTokenId).toBe(3);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['another activation', { feed_forward_proj: 'mish' }, 'feed_forward_proj'],
    ['two gates', { feed_forward_proj: 'gated-gated-gelu' }, 'feed_forward_proj'],
    ['an encoder alone', { is_encoder_decoder: false }, 'is_encoder_decoder'],
    ['no decoder start', { pad_token_id: null }, 'decoder_start_token_id'],
    ['too few buckets', { relative_attention_num_buckets: 2 }, 'relative_attention_num_buckets'],
    ['too near a distance', { relative_attention_max_distance: 16 }, 'relative_attention_max_distance'],
    ['a chance above 1', { dropout_rate: 2 }, 'dropout_rate'],
  ])('with %s is refused by key', (_, change, key) => {
    expect(() => of(change)).toThrow(expect.objectContaining({ name: 'ConfigError', key }) as Error);
  });
});

const json = {
  model_type: 't5',
  vocab_size: 32,
  d_model: 16,
  d_kv: 4,
  d_ff: 24,
  num_layers: 2,
  num_heads: 4,
};

test('a new model has the deviations of T5', async () => {
  const { model } = newModel({ ...json, d_model: 64, d_ff: 100 }, { architectures: [t5], seed: 2 });
  const deviation = async (name: string): Promise<number> => {
    const values = (await runtime.read(new Map(model.namedParameters()).get(name)!)) as Float32Array;
    return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  };
  const near = async (name: string, expected: number): Promise<void> =>
    expect(Math.abs((await deviation(name)) / expected - 1), name).toBeLessThan(0.1);
  await near('shared.weight', 1);
  await near('encoder.block.0.layer.0.SelfAttention.q.weight', (64 * 4) ** -0.5);
  await near('decoder.block.1.layer.1.EncDecAttention.v.weight', 64 ** -0.5);
  await near('decoder.block.1.layer.2.DenseReluDense.wo.weight', 100 ** -0.5);
  expect(await deviation('encoder.final_layer_norm.weight')).toBe(1);
});

test('the labels, shifted to the right, are what the decoder reads', async () => {
  const labels = new Variable([2, 4], Int32Array.of(5, -100, 7, 1, 8, 9, -100, -100));
  const [ids] = await runtime.evaluate([shiftRight(labels, { decoderStartTokenId: 3, padTokenId: 0 })]);
  expect([...ids!]).toEqual([3, 5, 0, 7, 3, 8, 9, 0]);
});

test('dropout acts in training, and there alone', async () => {
  const seed = new Variable([2], Uint32Array.of(5, 6));
  const inputIds = new Variable([1, 5], Int32Array.of(3, 1, 4, 1, 5));
  const decoderInputIds = new Variable([1, 3], Int32Array.of(0, 7, 8));
  const logits = async (dropout_rate: number, context: Context) => {
    const { model } = newModel({ ...json, dropout_rate }, { architectures: [t5], seed: 1 });
    return (await runtime.evaluate([model.forward({ inputIds, decoderInputIds }, context)]))[0]!;
  };
  const plain = await logits(0, new Context({ training: true }));
  expect(await logits(0.5, new Context({ seed }))).toEqual(plain);
  const trained = await logits(0.5, new Context({ training: true, seed }));
  expect(Array.from(trained).some((x, i) => Math.abs(x - plain[i]!) > 0.1)).toBe(true);
  await expect(logits(0.5, new Context({ training: true }))).rejects.toThrow(DropoutSeedError);
});
