/** Our files against those that safetensors' Rust writer, Hugging Face PEFT and Python wrote, byte for byte. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import mixed from '../test/fixtures/mixed.json' with { type: 'json' };
import { encodeAdapter, readAdapter, writeAdapter } from './adapter.ts';
import type { Dtype } from './dtypes.ts';
import { memoryFolder } from './memory-folder.ts';
import { openModelFolder } from './model-folder.ts';
import { nodeFile, nodeFolder } from './node.ts';
import { openSafetensors } from './safetensors-reader.ts';
import { encodeSafetensors, type TensorData } from './safetensors-writer.ts';

const fixtures = fileURLToPath(new URL('../test/fixtures/', import.meta.url));
const oracle = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));

/** The Python binding's names of dtypes. */
const DTYPE: Record<string, Dtype> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  int64: 'I64',
  uint64: 'U64',
  int32: 'I32',
  uint32: 'U32',
  int16: 'I16',
  uint16: 'U16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

describe('the Rust writer', () => {
  test('awkward names, every dtype, scalars and empty tensors', async () => {
    const expected = readFileSync(`${fixtures}mixed.safetensors`);
    const theirs = await openSafetensors(await nodeFile(`${fixtures}mixed.safetensors`));
    const tensors = new Map<string, TensorData>();
    for (const [index, [name, dtype, shape]] of (mixed as [string, string, number[]][]).entries()) {
      const length = theirs.tensors.get(name)!.byteLength;
      const data = Uint8Array.from({ length }, (_, i) => index + i);
      expect(await theirs.read(name)).toEqual(data);
      expect(theirs.tensors.get(name)).toMatchObject({ dtype: DTYPE[dtype], shape });
      tensors.set(name, { dtype: DTYPE[dtype]!, shape, data });
    }
    expect(theirs.tensors.size).toBe(tensors.size);
    expect(Buffer.from(encodeSafetensors(tensors, { format: 'pt' })).equals(expected)).toBe(true);
    const backwards = new Map([...tensors].reverse());
    expect(Buffer.from(encodeSafetensors(backwards, { format: 'pt' })).equals(expected)).toBe(true);
  });

  test('no tensors, no metadata', () => {
    const expected = readFileSync(`${fixtures}empty.safetensors`);
    expect(Buffer.from(encodeSafetensors({})).equals(expected)).toBe(true);
  });
});

describe('PEFT', () => {
  // The first is made by json.dumps with numbers and texts that PEFT could write; the others by PEFT itself.
  const folders = [
    ['adapter', fixtures],
    ['lora-llama-gqa-tied-all-linear/adapter_start', oracle],
    ['lora-llama-gqa-tied-rslora/adapter_after', oracle],
    ['lora-qwen2-qv/adapter_after', oracle],
  ] as const;
  test.each(folders)('%s', async (name, root) => {
    const path = root + name;
    const { config, tensors } = await readAdapter(nodeFolder(path));
    expect(config.peft_type).toBe('LORA');
    expect(tensors.tensors.size).toBeGreaterThan(0);
    const data = new Map<string, TensorData>();
    for (const [name, { dtype, shape }] of tensors.tensors) {
      data.set(name, { dtype, shape, data: await tensors.read(name) });
    }
    const files = encodeAdapter(config, data, { floatKeys: ['lora_dropout', 'floats'] });
    expect(Object.keys(files)).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    for (const [name, bytes] of Object.entries(files)) {
      const theirs = readFileSync(`${path}/${name}`);
      if (name.endsWith('.json')) expect(new TextDecoder().decode(bytes)).toBe(theirs.toString());
      expect(Buffer.from(bytes).equals(theirs)).toBe(true);
    }
  });

  test('what is written is read back', async () => {
    const folder = memoryFolder();
    const config = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: ['q_proj'] };
    const name = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
    await writeAdapter(folder, config, { [name]: { shape: [2, 1], data: Float32Array.of(0.5, -3) } });
    const adapter = await readAdapter(folder);
    expect(adapter.config).toEqual(config);
    expect([...adapter.tensors.metadata]).toEqual([['format', 'pt']]);
    expect(Array.from(await adapter.tensors.readFloat32(name))).toEqual([0.5, -3]);
  });
});

test('a model as transformers saves it', async () => {
  const path = `${oracle}llama-gqa-tied`;
  const model = await openModelFolder(nodeFolder(path));
  expect(model.config.model_type).toBe('llama');
  expect(model.generationConfig).toBeDefined();
  const embedding = model.weights.tensors.get('model.embed_tokens.weight')!;
  expect(embedding.shape).toEqual([model.config.vocab_size, model.config.hidden_size]);
  const values = await model.weights.readFloat32('model.embed_tokens.weight');
  expect(values.length).toBe(embedding.shape[0]! * embedding.shape[1]!);
  const data = new Map<string, TensorData>();
  for (const [name, { dtype, shape }] of model.weights.tensors) {
    data.set(name, { dtype, shape, data: await model.weights.read(name) });
  }
  const written = Buffer.from(encodeSafetensors(data, model.weights.metadata));
  expect(written.equals(readFileSync(`${path}/model.safetensors`))).toBe(true);
});
