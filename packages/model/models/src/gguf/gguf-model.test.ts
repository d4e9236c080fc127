import { fileURLToPath } from 'node:url';
import { CheckpointError, type GgufFile, openGguf, openModelFolder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { describe, expect, test } from 'vitest';
import { architectures } from '../architectures.ts';
import { modelFrom } from '../load.ts';
import { parseConfig } from '../parse-config.ts';
import { ggufModel } from './gguf-model.ts';

const files = nodeFolder(fileURLToPath(new URL('../../test/fixtures', import.meta.url)));
const folders = fileURLToPath(new URL('../../../../../tools/oracle/fixtures/', import.meta.url));
const open = async (name: string): Promise<GgufFile> => openGguf(await files.open(`${name}.gguf`));

/** What GGUF does not say: what new weights are like, dropout in training, and (but for its rule) Gemma's scale. */
const unsaid = ['initializerRange', 'embeddingDropout', 'attentionDropout', 'residualDropout', 'scale'];

describe.each([
  'llama-gqa-tied',
  'llama-gqa-untied',
  'qwen2',
  'llama3-rope',
  'llama-headdim',
  'qwen3',
  'gpt2',
  'gemma',
  'gemma2',
  'gemma3',
  'phi3',
  'phi3-longrope',
])('%s', (name) => {
  const folder = openModelFolder(nodeFolder(folders + name));

  test('the config is that of the folder', async () => {
    const plain = (config: object): unknown =>
      JSON.parse(
        JSON.stringify(config, (key, value) => (unsaid.includes(key) ? undefined : value)),
      ) as unknown;
    const { config } = await ggufModel(await open(name));
    const ours = parseConfig(config, { architectures });
    const theirs = parseConfig((await folder).config, { architectures });
    expect(plain(ours)).toEqual(plain(theirs));
  });

  test('every weight is that of the folder', async () => {
    const { weights } = await ggufModel(await open(name));
    const theirs = (await folder).weights;
    expect([...weights.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort());
    for (const [tensor, { shape }] of theirs.tensors) {
      expect(weights.tensors.get(tensor)!.shape).toEqual(shape);
      const values = await theirs.readFloat32(tensor);
      if (name.startsWith('gemma') && tensor.endsWith('norm.weight')) {
        // (1 + w) - 1 in float32
        const got = await weights.readFloat32(tensor);
        expect(values.every((x, i) => Math.abs(x - got[i]!) < 1.5e-7)).toBe(true);
        expect(await weights.read(tensor)).toEqual(new Uint8Array(got.buffer));
        continue;
      }
      const bytes = await theirs.read(tensor);
      expect(await weights.read(tensor)).toEqual(bytes);
      const range = { offset: 8, length: bytes.length - 12 };
      expect(await weights.read(tensor, range)).toEqual(bytes.slice(8, -4));
      expect(await weights.readFloat32(tensor)).toEqual(values);
    }
  });

  test('loads by the path that folders take', async () => {
    const { config, weights } = await ggufModel(await open(name));
    const { model } = await modelFrom(config, weights, { architectures });
    const names = [...model.namedParameters({ duplicates: true })].map(([each]) => each);
    expect(names).toEqual(expect.arrayContaining([...weights.tensors.keys()]));
  });
});

test('weights of GPT-2 in 16 bits and in blocks are turned round, too', async () => {
  const plain = await open('gpt2');
  const name = 'blk.0.ffn_up.weight';
  const entry = plain.tensors.get(name)!;
  const [rows, columns] = entry.shape as [number, number];
  const halves = new Uint16Array(rows * columns).map((_, i) => i);
  const half: GgufFile = {
    ...plain,
    tensors: new Map([...plain.tensors, [name, { ...entry, dtype: 'F16', byteLength: 2 * halves.length }]]),
    read: async (tensor, range) =>
      tensor === name ? new Uint8Array(halves.buffer) : plain.read(tensor, range),
  };
  const inModel = 'transformer.h.0.mlp.c_fc.weight';
  const turned = (await ggufModel(half)).weights;
  expect(turned.tensors.get(inModel)).toMatchObject({ dtype: 'F16', shape: [columns, rows] });
  const got = new Uint16Array((await turned.read(inModel)).slice().buffer);
  expect([...got]).toEqual([...got.keys()].map((i) => (i % rows) * columns + Math.floor(i / rows)));
  const blocks: GgufFile = {
    ...plain,
    tensors: new Map([...plain.tensors, [name, { ...entry, dtype: 'Q8_0', byteLength: 34 }]]),
  };
  const widened = (await ggufModel(blocks)).weights;
  const expected = (await ggufModel(plain)).weights;
  expect(widened.tensors.get(inModel)).toMatchObject({ dtype: 'F32', byteLength: 4 * rows * columns });
  expect(await widened.read(inModel)).toEqual(await expected.read(inModel));
});

test('a copy of the embeddings is the tied output of GPT-2, and other weights are one of their own', async () => {
  const plain = await open('gpt2');
  const source = { 'output.weight': 'token_embd.weight' } as Readonly<Record<string, string>>;
  const tensors = new Map([
    ...plain.tensors,
    ['output.weight', plain.tensors.get('token_embd.weight')!] as const,
  ]);
  const copied: GgufFile = {
    ...plain,
    tensors,
    read: (name, range) => plain.read(source[name] ?? name, range),
    readFloat32: (name) => plain.readFloat32(source[name] ?? name),
  };
  expect((await ggufModel(copied)).config.tie_word_embeddings).toBe(true);
  const other: GgufFile = {
    ...copied,
    read: async (name, range) => {
      const bytes = (await copied.read(name, range)).slice();
      if (name === 'output.weight') bytes[0]! ^= 1;
      return bytes;
    },
  };
  expect((await ggufModel(other)).config.tie_word_embeddings).toBe(false);
});

test("Gemma's scores are scaled by the size of their heads, in the largest model by the width per head", async () => {
  const scaleOf = async (layers: number): Promise<unknown> => {
    const gguf = await open('gemma2');
    const keyValues = new Map([...gguf.keyValues, ['gemma2.block_count', layers] as const]);
    return (await ggufModel({ ...gguf, keyValues })).config.query_pre_attn_scalar;
  };
  expect(await scaleOf(2)).toBe(8);
  expect(await scaleOf(46)).toBe(4);
});

describe('what is refused', () => {
  /** A file with other metadata, or with tensors added. */
  const changed = async (
    change: Record<string, string | number | undefined>,
    added: readonly string[] = [],
    name = 'llama-gqa-tied',
  ): Promise<string> => {
    const gguf = await open(name);
    const keyValues = new Map(gguf.keyValues);
    const metadata = new Map(gguf.metadata);
    for (const [key, value] of Object.entries(change)) {
      if (value === undefined) keyValues.delete(key);
      else keyValues.set(key, value);
      if (typeof value === 'string') metadata.set(key, value);
    }
    const tensors = new Map(gguf.tensors);
    for (const tensor of added) tensors.set(tensor, gguf.tensors.get('output_norm.weight')!);
    const read = async (): Promise<void> => {
      const { config, weights } = await ggufModel({ ...gguf, keyValues, metadata, tensors });
      for (const tensor of weights.tensors.keys()) await weights.read(tensor);
      await modelFrom(config, weights, { architectures });
    };
    const error = await read().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    return (error as Error).message;
  };

  test.each([
    [
      { 'general.architecture': 'mamba' },
      /architecture is "mamba"\. Supported in GGUF are llama, qwen2, qwen3, gpt2, .* and phi3/,
    ],
    [{ 'llama.expert_count': 8 }, /mixture of experts/],
    [{ 'split.count': 3 }, /one of 3 parts of a model\. Join them/],
    [{ 'llama.block_count': undefined }, /llama\.block_count is missing/],
    [{ 'llama.attention.head_count': 'four' }, /llama\.attention\.head_count is not one number/],
    [{ 'llama.rope.dimension_count': 4 }, /8 key, 8 value and 4 rotary dimensions/],
    [{ 'llama.rope.scaling.type': 'yarn' }, /rope scaling is "yarn"/],
    [{ 'llama.attention.head_count': 5 }, /rows, which are not 5 heads|rotary dimensions/],
    [{ 'llama.block_count': 3 }, /missing: "model\.layers\.2\.input_layernorm\.weight"/],
    [{ 'llama.embedding_length': 64, 'llama.attention.head_count': 8 }, /another shape than config\.json/],
  ])('%j', async (change, message) => {
    expect(await changed(change)).toMatch(message);
  });

  test('tensors of a variant', async () => {
    expect(await changed({}, ['blk.0.attn_q_norm.weight', 'blk.0.toString.weight'])).toMatch(
      /architecture llama has no place for "blk\.0\.attn_q_norm\.weight"/,
    );
  });

  test('frequency factors of another rule', async () => {
    const gguf = await open('llama3-rope');
    const readFloat32 = async (): Promise<Float32Array> => Float32Array.of(1, 3, 2, 8);
    await expect(ggufModel({ ...gguf, readFloat32 })).rejects.toThrow(CheckpointError);
  });
});
