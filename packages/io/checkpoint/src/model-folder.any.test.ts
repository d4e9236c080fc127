import { describe, expect, test } from 'vitest';
import { readAdapter } from './adapter.ts';
import { CheckpointError, JsonFileError, type ShapeMismatchError } from './errors.ts';
import { type MemoryFiles, memoryFolder } from './memory-folder.ts';
import { openModelFolder, openWeights, readTokenizerFiles } from './model-folder.ts';
import { encodeSafetensors } from './safetensors-writer.ts';
import { checkShapes } from './weights.ts';

function folderOf(files: Record<string, unknown>) {
  const map: MemoryFiles = new Map();
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    map.set(name, content instanceof Uint8Array ? content : new TextEncoder().encode(text));
  }
  return memoryFolder(map, 'model');
}

async function refusal(promise: Promise<unknown>): Promise<CheckpointError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as Error).message).not.toContain('\n');
  return error as CheckpointError;
}

const weights = (...names: string[]) =>
  encodeSafetensors(
    Object.fromEntries(names.map((name, i) => [name, { shape: [1], data: Float32Array.of(i + 1) }])),
    { format: 'pt' },
  );
const shard = (n: number) => `model-0000${n}-of-00002.safetensors`;
const index = (weight_map: unknown) => ({ metadata: { total_size: 8 }, weight_map });

test('one file', async () => {
  const folder = folderOf({ 'config.json': { model_type: 'llama' }, 'model.safetensors': weights('a', 'b') });
  const model = await openModelFolder(folder);
  expect(model.config).toEqual({ model_type: 'llama' });
  expect(model.generationConfig).toBeUndefined();
  expect(Array.from(await model.weights.readFloat32('b'))).toEqual([2]);
});

test('shards as one, and the single file first where both are there', async () => {
  const files = {
    'config.json': {},
    'model.safetensors.index.json': index({ a: shard(1), b: shard(2) }),
    // Each shard has a tensor that the index places elsewhere or leaves out.
    [shard(1)]: weights('a', 'b'),
    [shard(2)]: weights('x', 'b'),
  };
  const sharded = await openWeights(folderOf(files));
  expect([...sharded.tensors.keys()]).toEqual(['a', 'b']);
  expect(Array.from(await sharded.readFloat32('a'))).toEqual([1]);
  expect(Array.from(await sharded.readFloat32('b'))).toEqual([2]);
  expect(await sharded.read('b', { offset: 0, length: 2 })).toHaveLength(2);
  expect([...sharded.metadata]).toEqual([['format', 'pt']]);
  await expect(sharded.read('x')).rejects.toThrow('missing');
  const both = await openWeights(folderOf({ ...files, 'model.safetensors': weights('only') }));
  expect([...both.tensors.keys()]).toEqual(['only']);
});

describe('hostile folders', () => {
  test.each([
    '../../etc/passwd',
    'C:\\x',
    'C:/x',
    'a/../../b',
    'file:///etc/passwd',
    '/etc/passwd',
    '..',
    './model.safetensors',
    'a//b',
    '',
    'a\0b',
    '\\\\server\\share',
  ])('an index that leads to %j', async (path) => {
    const folder = folderOf({ 'model.safetensors.index.json': index({ a: path }) });
    const error = await refusal(openWeights(folder));
    expect(error).toMatchObject({ name: 'UnsafePathError', path });
    expect(error.message).toContain('model.safetensors.index.json');
  });

  test('missing shards are listed, up to five', async () => {
    const map = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`t${i}`, `shard-${i}.safetensors`]));
    const error = await refusal(openWeights(folderOf({ 'model.safetensors.index.json': index(map) })));
    expect(error.name).toBe('ShardMissingError');
    expect(error).toMatchObject({ shards: Object.values(map) });
    expect(error.message).toContain('7 shards are missing');
    expect(error.message).toContain('"shard-4.safetensors" and 2 more');
    expect(error.message).not.toContain('shard-5');
  });

  test('tensors that are not in their shard are listed', async () => {
    const folder = folderOf({
      'model.safetensors.index.json': index({ a: shard(1), b: shard(1), c: shard(1) }),
      [shard(1)]: weights('a'),
    });
    const error = await refusal(openWeights(folder));
    expect(error).toMatchObject({ name: 'TensorMissingError', tensors: ['b', 'c'] });
    expect(error.message).toContain(shard(1));
  });

  test('a truncated last shard and a Git LFS pointer name their file', async () => {
    const map = {
      'model.safetensors.index.json': index({ a: shard(1), b: shard(2) }),
      [shard(1)]: weights('a'),
    };
    const cut = await refusal(openWeights(folderOf({ ...map, [shard(2)]: weights('b').slice(0, -2) })));
    expect(cut).toMatchObject({ problem: 'truncated', file: `model/${shard(2)}` });
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4\n';
    const lfs = await refusal(openWeights(folderOf({ ...map, [shard(2)]: pointer })));
    expect(lfs).toMatchObject({ name: 'GitLfsPointerError', file: `model/${shard(2)}` });
  });

  test('only a pickle: refused with the way to convert it, never read', async () => {
    for (const name of ['pytorch_model.bin', 'pytorch_model.bin.index.json']) {
      const folder = folderOf({ [name]: 'PK' });
      const opened: string[] = [];
      const open = (file: string) => {
        opened.push(file);
        return folder.open(file);
      };
      const watched = { ...folder, open };
      const error = await refusal(openWeights(watched));
      expect(error).toMatchObject({ name: 'PickleRefusedError', file: `model/${name}` });
      expect(error.message).toContain('save_file');
      expect(opened).toEqual([]);
    }
    const adapter = folderOf({ 'adapter_config.json': { peft_type: 'LORA' }, 'adapter_model.bin': 'PK' });
    expect((await refusal(readAdapter(adapter))).name).toBe('PickleRefusedError');
  });

  test('an index of the wrong form', async () => {
    for (const map of [undefined, null, [], 'x', { a: 1 }, { a: null }]) {
      const error = await refusal(
        openWeights(folderOf({ 'model.safetensors.index.json': { weight_map: map } })),
      );
      expect(error).toBeInstanceOf(JsonFileError);
    }
  });

  test('nothing there, or a config that is not JSON', async () => {
    expect((await refusal(openModelFolder(folderOf({})))).name).toBe('FileMissingError');
    expect((await refusal(openWeights(folderOf({})))).name).toBe('FileMissingError');
    const nan = await refusal(openModelFolder(folderOf({ 'config.json': '{\n  "rope_theta": NaN\n}' })));
    expect(nan).toMatchObject({ name: 'JsonFileError', line: 2, column: 17 });
    expect((await refusal(openModelFolder(folderOf({ 'config.json': '[]' })))).message).toContain(
      'not an object',
    );
    const latin = new Uint8Array([0x7b, 0xe4, 0x7d]);
    expect((await refusal(openModelFolder(folderOf({ 'config.json': latin })))).message).toContain('UTF-8');
  });

  test('an adapter without peft_type or weights', async () => {
    expect((await refusal(readAdapter(folderOf({ 'adapter_config.json': { r: 8 } })))).message).toContain(
      'peft_type',
    );
    const empty = folderOf({ 'adapter_config.json': { peft_type: 'LORA' } });
    expect((await refusal(readAdapter(empty))).message).toContain('adapter_model.safetensors');
  });

  test('a text file above its limit is not read', async () => {
    const folder = folderOf({ 'chat_template.jinja': 'x'.repeat(1024 * 1024 + 1) });
    expect((await refusal(readTokenizerFiles(folder))).message).toContain('more than the 1048576 allowed');
  });
});

test('shapes that are not those of the config: each with expected and got', async () => {
  const file = await openWeights(folderOf({ 'model.safetensors': weights('a', 'b', 'c') }));
  expect(() => checkShapes(file, [['a', [1]]])).not.toThrow();
  const mismatch = (): ShapeMismatchError => {
    try {
      checkShapes(file, [
        ['a', [2]],
        ['b', [1, 1]],
        ['c', [1]],
      ]);
    } catch (error) {
      return error as ShapeMismatchError;
    }
    throw new Error('nothing was thrown');
  };
  expect(mismatch().mismatches).toEqual([
    { tensor: 'a', expected: [2], got: [1] },
    { tensor: 'b', expected: [1, 1], got: [1] },
  ]);
  expect(mismatch().message).toContain('"a" expected [2] got [1], "b" expected [1, 1] got [1]');
  expect(() => checkShapes(file, [['z', [1]]])).toThrow('1 tensor is missing: "z"');
});

describe('tokenizer files', () => {
  test('all of them, and none', async () => {
    const files = await readTokenizerFiles(
      folderOf({
        'tokenizer.json': { version: '1.0' },
        'tokenizer_config.json': { model_max_length: 8, chat_template: 'from the config' },
        'special_tokens_map.json': { eos_token: '</s>' },
      }),
    );
    expect(files).toEqual({
      tokenizer: { version: '1.0' },
      tokenizerConfig: { model_max_length: 8, chat_template: 'from the config' },
      specialTokensMap: { eos_token: '</s>' },
      chatTemplate: 'from the config',
    });
    const none = await readTokenizerFiles(folderOf({}));
    expect(Object.values(none)).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('the template: its own file first, and the default of several', async () => {
    const several = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'chat' },
    ];
    const config = { 'tokenizer_config.json': { chat_template: several } };
    expect((await readTokenizerFiles(folderOf(config))).chatTemplate).toBe('chat');
    const json = { ...config, 'chat_template.json': { chat_template: 'json' } };
    expect((await readTokenizerFiles(folderOf(json))).chatTemplate).toBe('json');
    const jinja = { ...json, 'chat_template.jinja': 'jinja' };
    expect((await readTokenizerFiles(folderOf(jinja))).chatTemplate).toBe('jinja');
  });
});
