import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  FileChangedError,
  FileMissingError,
  FileReadError,
  FileWriteError,
  UnsafePathError,
} from './errors.ts';
import { openWeights } from './model-folder.ts';
import { nodeFile, nodeFolder } from './node.ts';
import { openSafetensors } from './safetensors-reader.ts';
import { encodeSafetensors } from './safetensors-writer.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-checkpoint-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const text = (content: string) => new TextEncoder().encode(content);
const weights = encodeSafetensors({ a: { shape: [1], data: Float32Array.of(7) } });

describe('reading', () => {
  test('ranges, names and text', async () => {
    writeFileSync(join(root, 'b.txt'), 'héllo');
    mkdirSync(join(root, 'a'));
    const folder = nodeFolder(root);
    expect(await folder.list()).toEqual(['a', 'b.txt']);
    expect(await folder.has('b.txt')).toBe(true);
    expect(await folder.has('a')).toBe(false);
    expect(await folder.has('c')).toBe(false);
    expect(await folder.readText('b.txt')).toBe('héllo');
    const source = await folder.open('b.txt');
    expect(await source.size()).toBe(6);
    expect(Buffer.from(await source.read(3, 2)).toString()).toBe('ll');
    await expect(source.read(4, 3)).rejects.toThrow(FileReadError);
    await expect(source.read(-1, 1)).rejects.toThrow(FileReadError);
    await expect(folder.open('c')).rejects.toThrow(FileMissingError);
    await expect(folder.open('a')).rejects.toThrow('not a regular file');
    await expect(folder.readText('b.txt', 5)).rejects.toThrow('more than the 5 allowed');
    expect(await nodeFolder(join(root, 'nowhere')).list()).toEqual([]);
  });

  test('only the tensors asked for are read', async () => {
    // 8 GiB that take no space on disk: reading it whole would fail.
    const large = 2 ** 33;
    const header = `{"large":{"dtype":"U8","shape":[${large}],"data_offsets":[0,${large}]},"small":{"dtype":"F32","shape":[1],"data_offsets":[${large},${large + 4}]}}`;
    const path = join(root, 'large.safetensors');
    const start = Buffer.alloc(8 + header.length);
    start.writeBigUInt64LE(BigInt(header.length));
    start.write(header, 8);
    writeFileSync(path, start);
    const write = `
      const { openSync, writeSync } = require('node:fs');
      writeSync(openSync(process.argv[1], 'r+'), Buffer.from(Float32Array.of(7).buffer), 0, 4, ${8 + header.length + large});`;
    expect(spawnSync(process.execPath, ['-e', write, path]).status).toBe(0);
    const before = process.memoryUsage().rss;
    const file = await openSafetensors(await nodeFile(path));
    expect(Array.from(await file.readFloat32('small'))).toEqual([7]);
    expect(await file.read('large', { offset: large - 3, length: 3 })).toEqual(new Uint8Array(3));
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });

  test('a file that is replaced meanwhile is noticed', async () => {
    const folder = nodeFolder(root);
    await folder.writeAtomic('x', text('one'));
    const source = await folder.open('x');
    expect(Buffer.from(await source.read(0, 3)).toString()).toBe('one');
    await folder.writeAtomic('x', text('two'));
    await expect(source.read(0, 3)).rejects.toThrow(FileChangedError);
    await folder.remove('x');
    await expect(source.read(0, 3)).rejects.toThrow(FileMissingError);
  });

  test.skipIf(process.platform === 'win32')(
    'a pipe in place of a file is refused and does not hang',
    async () => {
      expect(spawnSync('mkfifo', [join(root, 'model.safetensors')]).status).toBe(0);
      await expect(nodeFile(join(root, 'model.safetensors'))).rejects.toThrow('not a regular file');
    },
  );
});

describe.skipIf(process.platform === 'win32')('links', () => {
  test('out of the folder are refused, unless the user says to follow them', async () => {
    const model = join(root, 'model');
    mkdirSync(model);
    writeFileSync(join(root, 'secret'), weights);
    symlinkSync('../secret', join(model, 'model.safetensors'));
    const error = await openWeights(nodeFolder(model)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnsafePathError);
    expect((error as Error).message).toContain(join(root, 'secret'));
    expect((await openWeights(nodeFolder(model, { links: 'follow' }))).tensors.size).toBe(1);
  });

  test('out of a folder inside, to a sibling of the same prefix', async () => {
    mkdirSync(join(root, 'model'));
    mkdirSync(join(root, 'model-secret'));
    writeFileSync(join(root, 'model-secret/x'), 'x');
    symlinkSync('../model-secret', join(root, 'model/inner'));
    await expect(nodeFolder(join(root, 'model')).folder('inner').open('x')).rejects.toThrow(UnsafePathError);
  });

  test('inside the folder, and of the folder itself, are followed', async () => {
    mkdirSync(join(root, 'model'));
    writeFileSync(join(root, 'model/weights'), weights);
    symlinkSync('weights', join(root, 'model/model.safetensors'));
    symlinkSync('model', join(root, 'latest'));
    expect((await openWeights(nodeFolder(join(root, 'latest')))).tensors.size).toBe(1);
  });

  test('of the Hugging Face cache are followed, but only into its blobs', async () => {
    const cache = join(root, 'models--x--y');
    mkdirSync(join(cache, 'blobs'), { recursive: true });
    mkdirSync(join(cache, 'snapshots/0123'), { recursive: true });
    mkdirSync(join(cache, 'refs'));
    writeFileSync(join(cache, 'blobs/abc'), weights);
    writeFileSync(join(cache, 'refs/main'), '0123');
    symlinkSync('../../blobs/abc', join(cache, 'snapshots/0123/model.safetensors'));
    symlinkSync('../../refs/main', join(cache, 'snapshots/0123/config.json'));
    const folder = nodeFolder(join(cache, 'snapshots/0123'));
    expect((await openWeights(folder)).tensors.size).toBe(1);
    await expect(folder.open('config.json')).rejects.toThrow(UnsafePathError);
  });
});

describe('writing', () => {
  test('makes the folder, replaces whole files, leaves nothing else', async () => {
    const folder = nodeFolder(join(root, 'new/deep'));
    await folder.writeAtomic('sub/x', text('one'));
    await folder.writeAtomic('sub/x', [text('t'), text('wo')]);
    expect(readFileSync(join(root, 'new/deep/sub/x'), 'utf8')).toBe('two');
    expect(readdirSync(join(root, 'new/deep/sub'))).toEqual(['x']);
    await expect(folder.writeAtomic('../x', text('out'))).rejects.toThrow(UnsafePathError);
    expect(readdirSync(join(root, 'new'))).toEqual(['deep']);
  });

  test('content that fails half-way leaves the old file and no other', async () => {
    const folder = nodeFolder(root);
    await folder.writeAtomic('x', text('old'));
    async function* broken() {
      yield text('half');
      throw new RangeError('the source broke');
    }
    await expect(folder.writeAtomic('x', broken())).rejects.toThrow(RangeError);
    expect(readFileSync(join(root, 'x'), 'utf8')).toBe('old');
    expect(readdirSync(root)).toEqual(['x']);
  });

  test('what is in the way is a typed error', async () => {
    mkdirSync(join(root, 'x/y'), { recursive: true });
    writeFileSync(join(root, 'file'), 'x');
    const folder = nodeFolder(root);
    await expect(folder.writeAtomic('x', text('no'))).rejects.toThrow(FileWriteError);
    const error = await folder
      .folder('file')
      .writeAtomic('y', text('no'))
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FileWriteError);
    expect(error).toMatchObject({ file: join(root, 'file/y') });
    expect(readdirSync(root)).toEqual(['file', 'x']);
  });

  // A limit on the size of files stands in for a full disk: both fail in the middle of a write.
  test.skipIf(process.platform === 'win32')(
    'the system refuses more bytes: old file kept, typed error',
    () => {
      writeFileSync(join(root, 'x'), 'old');
      const child = fileURLToPath(new URL('../test/write-large.ts', import.meta.url));
      const script = 'ulimit -f 100 && exec "$0" --import tsx "$1" "$2"';
      const { stdout, stderr } = spawnSync('sh', ['-c', script, process.execPath, child, root], {
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toMatchObject({
        name: 'FileWriteError',
        code: 'EFBIG',
        file: join(root, 'x'),
      });
      expect(readFileSync(join(root, 'x'), 'utf8')).toBe('old');
      expect(readdirSync(root)).toEqual(['x']);
    },
  );
});
