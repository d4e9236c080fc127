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

describe.each(['llama-gqa-tied', 'llama-gqa-untied', 'qwen2', 'llama3-rope', 'llama-headdim'])(
  '%s',
  (name) => {
    const folder = openModelFolder(nodeFolder(folders + name));

    test('the config is that of the folder', async () => {
      const plain = (config: object): unknown =>
        JSON.parse(
          JSON.stringify(config, (key, value) => (key === 'initializerRange' ? undefined : value)),
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
        const bytes = await theirs.read(tensor);
        expect(await weights.read(tensor)).toEqual(bytes);
        const range = { offset: 8, length: bytes.length - 12 };
        expect(await weights.read(tensor, range)).toEqual(bytes.slice(8, -4));
        expect(await weights.readFloat32(tensor)).toEqual(await theirs.readFloat32(tensor));
      }
    });

    test('loads by the path that folders take', async () => {
      const { config, weights } = await ggufModel(await open(name));
      const { model } = await modelFrom(config, weights, { architectures });
      const names = [...model.namedParameters({ duplicates: true })].map(([each]) => each);
      expect(names).toEqual(expect.arrayContaining([...weights.tensors.keys()]));
    });
  },
);

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
      { 'general.architecture': 'gemma3' },
      /architecture is "gemma3"\. Supported in GGUF are llama and qwen2/,
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
