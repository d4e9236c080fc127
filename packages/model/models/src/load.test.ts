import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  encodeSafetensors,
  type Folder,
  fromFloat32,
  type MemoryFiles,
  memoryFolder,
  openSafetensors,
  ShapeMismatchError,
  type TensorData,
  TensorMissingError,
} from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { Context } from '@graftjs/nn';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  architectures,
  ConfigError,
  type LoadedModel,
  llama,
  loadModel,
  newModel,
  saveModel,
  UnexpectedTensorError,
} from './index.ts';

const fixtures = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));
const fileOf = (base: string, name: string): Uint8Array =>
  new Uint8Array(readFileSync(`${fixtures}${base}/${name}`));
const jsonOf = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;

/** Of other architectures. */
const decoders = [
  'qwen3',
  'qwen3-variant',
  'gpt-neox',
  'gpt-neox-variant',
  'opt',
  'opt-variant',
  'gemma',
  'gemma2',
  'gemma3',
  'phi3',
  'phi3-longrope',
];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

/** A copy of a fixture's model in memory; the tensors and the config may be changed first. */
async function folderOf(
  base: string,
  change: (tensors: Map<string, TensorData>, config: Record<string, unknown>) => void = () => {},
): Promise<{ folder: Folder; files: MemoryFiles }> {
  const weights = await openSafetensors(fileOf(base, 'model.safetensors'));
  const tensors = new Map<string, TensorData>();
  for (const [name, { dtype, shape }] of weights.tensors)
    tensors.set(name, { dtype, shape, data: await weights.read(name) });
  const config = jsonOf(fileOf(base, 'config.json'));
  change(tensors, config);
  const files: MemoryFiles = new Map([
    ['config.json', new TextEncoder().encode(JSON.stringify(config))],
    ['generation_config.json', fileOf(base, 'generation_config.json')],
    ['model.safetensors', encodeSafetensors(tensors, { format: 'pt' })],
  ]);
  return { folder: memoryFolder(files), files };
}

async function logitsOf({ model }: LoadedModel): Promise<number[]> {
  const inputIds = new Variable([1, 6], Int32Array.of(3, 1, 4, 1, 5, 9), { dtype: 'i32' });
  const [logits] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
  return [...(logits as Float32Array)];
}

test.each(['llama-gqa-tied', 'qwen2', 'llama-biases', ...decoders])(
  '%s: loaded and saved, the files are those of transformers',
  async (base) => {
    const { folder } = await folderOf(base);
    const files: MemoryFiles = new Map();
    await saveModel(runtime, memoryFolder(files), await loadModel(folder, { architectures, runtime }));
    const saved = files.get('model.safetensors')!;
    expect(Buffer.compare(saved, fileOf(base, 'model.safetensors'))).toBe(0);
    for (const name of ['config.json', 'generation_config.json'])
      expect(jsonOf(files.get(name)!)).toEqual(jsonOf(fileOf(base, name)));
  },
);

test('weights that are uploaded while loading give the same logits as those that wait', async () => {
  const { folder } = await folderOf('llama-gqa-tied');
  const early = await loadModel(folder, { architectures: [llama], runtime });
  expect(early.model.parameters().every((p) => p.pending === undefined)).toBe(true);
  const late = await loadModel(folder, { architectures: [llama] });
  expect(late.model.parameters().every((p) => p.pending !== undefined)).toBe(true);
  expect(await logitsOf(early)).toEqual(await logitsOf(late));
});

test('shards give the same model as one file', async () => {
  const { folder, files } = await folderOf('llama-gqa-untied');
  const whole = await openSafetensors(files.get('model.safetensors')!);
  const names = [...whole.tensors.keys()];
  const weightMap: Record<string, string> = {};
  const sharded: MemoryFiles = new Map([['config.json', files.get('config.json')!]]);
  for (const [i, part] of [names.slice(0, 7), names.slice(7)].entries()) {
    const shard = `model-0000${i + 1}-of-00002.safetensors`;
    const tensors = new Map<string, TensorData>();
    for (const name of part) {
      const { dtype, shape } = whole.tensors.get(name)!;
      tensors.set(name, { dtype, shape, data: await whole.read(name) });
      weightMap[name] = shard;
    }
    sharded.set(shard, encodeSafetensors(tensors, { format: 'pt' }));
  }
  const index = new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map: weightMap }));
  sharded.set('model.safetensors.index.json', index);
  expect(await logitsOf(await loadModel(memoryFolder(sharded), { architectures: [llama] }))).toEqual(
    await logitsOf(await loadModel(folder, { architectures: [llama] })),
  );
});

test.each(['F16', 'BF16'] as const)('stored as %s, read back as exactly that', async (dtype) => {
  const loaded = await loadModel((await folderOf('qwen2')).folder, { architectures: [llama] });
  const files: MemoryFiles = new Map();
  await saveModel(runtime, memoryFolder(files), loaded, { dtype });
  expect(jsonOf(files.get('config.json')!).dtype).toBe({ F16: 'float16', BF16: 'bfloat16' }[dtype]);
  const stored = await openSafetensors(files.get('model.safetensors')!);
  const again = await loadModel(memoryFolder(files), { architectures: [llama], weights: 'f32' });
  const back = new Map(again.model.namedParameters());
  for (const [name, p] of loaded.model.namedParameters()) {
    expect(stored.tensors.get(name)!.dtype).toBe(dtype);
    const original = (await runtime.read(p)) as Float32Array;
    const got = (await runtime.read(back.get(name)!)) as Float32Array;
    expect(Buffer.compare(fromFloat32(dtype, got), fromFloat32(dtype, original)), name).toBe(0);
    const bound = dtype === 'F16' ? 2 ** -11 : 2 ** -8;
    const tooFar = got.findIndex(
      (v, i) => Math.abs(v - original[i]!) > Math.abs(original[i]!) * bound + 2 ** -25,
    );
    expect(tooFar, name).toBe(-1);
  }
});

test('a new model has the deviation of its config, norms at 1 and biases at 0, and a seed of its own', async () => {
  const json = { ...jsonOf(fileOf('llama-biases', 'config.json')), initializer_range: 0.05 };
  const { model } = newModel(json, { architectures: [llama], seed: 3 });
  for (const [name, p] of model.namedParameters()) {
    const values = (await runtime.read(p)) as Float32Array;
    if (name.includes('norm'))
      expect(
        values.every((v) => v === 1),
        name,
      ).toBe(true);
    else if (name.endsWith('bias'))
      expect(
        values.every((v) => v === 0),
        name,
      ).toBe(true);
    else {
      const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
      // Five standard errors of a deviation.
      expect(Math.abs(deviation / 0.05 - 1), name).toBeLessThan(5 / Math.sqrt(2 * values.length));
    }
  }
  const first = async (seed: number) =>
    (await runtime.read(newModel(json, { architectures: [llama], seed }).model.parameters()[0]!)).slice(0, 8);
  expect(await first(3)).toEqual(await first(3));
  expect(await first(3)).not.toEqual(await first(4));
});

test('weights that are not those of config.json are named', async () => {
  const load = async (base: string, change: Parameters<typeof folderOf>[1]) =>
    loadModel((await folderOf(base, change)).folder, { architectures: [llama] });
  const norm = 'model.layers.1.post_attention_layernorm.weight';
  await expect(load('llama-gqa-tied', (tensors) => tensors.delete(norm))).rejects.toThrow(TensorMissingError);
  await expect(load('llama-gqa-tied', (tensors) => tensors.delete(norm))).rejects.toThrow(norm);
  await expect(load('llama-gqa-tied', (_, config) => (config.intermediate_size = 50))).rejects.toThrow(
    ShapeMismatchError,
  );
  await expect(load('llama-biases', (_, config) => (config.mlp_bias = false))).rejects.toThrow(
    UnexpectedTensorError,
  );
  await expect(load('llama-biases', (_, config) => (config.mlp_bias = false))).rejects.toThrow(
    'no place for "model.layers.0.mlp.down_proj.bias"',
  );
  await expect(load('llama-gqa-tied', (_, config) => (config.num_hidden_layers = 1))).rejects.toThrow(
    UnexpectedTensorError,
  );
  await expect(load('llama-gqa-tied', (_, config) => (config.num_hidden_layers = 1000))).rejects.toThrow(
    'model.layers.999.input_layernorm.weight',
  );
});

test('what another head or an older file adds is left alone; a head that is not the embedding is refused', async () => {
  const extra = (name: string, length: number): [string, TensorData] => [
    name,
    { dtype: 'F32', shape: [length], data: new Float32Array(length) },
  ];
  const plain = await logitsOf(
    await loadModel((await folderOf('llama-gqa-tied')).folder, { architectures: [llama] }),
  );
  const more = await folderOf('llama-gqa-tied', (tensors) => {
    tensors.set(...extra('score.weight', 3));
    tensors.set(...extra('model.layers.0.self_attn.rotary_emb.inv_freq', 4));
    tensors.set('lm_head.weight', tensors.get('model.embed_tokens.weight')!);
  });
  expect(await logitsOf(await loadModel(more.folder, { architectures: [llama] }))).toEqual(plain);
  const untied = await folderOf('llama-gqa-untied', (_, config) => (config.tie_word_embeddings = true));
  await expect(loadModel(untied.folder, { architectures: [llama] })).rejects.toThrow(ConfigError);
});
