import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileMissingError, FileWriteError, UnsafePathError } from './errors.ts';
import type { Folder } from './folder.ts';
import { opfsFolder } from './opfs-folder.ts';
import { latestValidCheckpoint, listCheckpoints, writeCheckpoint } from './training-checkpoint.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
let folder: Folder;
beforeEach(async () => {
  const storage = await navigator.storage.getDirectory();
  folder = opfsFolder(await storage.getDirectoryHandle('test', { create: true }));
});
afterEach(async () => {
  await (await navigator.storage.getDirectory()).removeEntry('test', { recursive: true });
});

test('writing, reading, listing, removing', async () => {
  await folder.writeAtomic('a/b/x', [bytes('he'), bytes('llo')]);
  await folder.writeAtomic('y', new Uint8Array());
  expect(await folder.list()).toEqual(['a', 'y']);
  expect(await folder.folder('a').list()).toEqual(['b']);
  expect(await folder.folder('a/b').readText('x')).toBe('hello');
  expect(await (await folder.open('a/b/x')).read(1, 3)).toEqual(bytes('ell'));
  expect(await folder.has('a')).toBe(false);
  expect(await folder.has('a/b/x')).toBe(true);
  await expect(folder.open('a/c')).rejects.toThrow(FileMissingError);
  await expect(folder.open('nowhere/c')).rejects.toThrow(FileMissingError);
  await expect(folder.writeAtomic('a', bytes('x'))).rejects.toThrow(FileWriteError);
  await expect(folder.open('../test/y')).rejects.toThrow(UnsafePathError);
  await folder.remove('a');
  await folder.remove('nothing');
  expect(await folder.list()).toEqual(['y']);
  expect(await folder.folder('not/there').list()).toEqual([]);
});

test('a write that fails half-way leaves the old file', async () => {
  await folder.writeAtomic('x', bytes('old'));
  async function* broken() {
    yield bytes('half');
    throw new RangeError('the source broke');
  }
  await expect(folder.writeAtomic('x', broken())).rejects.toThrow(RangeError);
  await expect(folder.writeAtomic('new', broken())).rejects.toThrow(RangeError);
  expect(await folder.readText('x')).toBe('old');
  expect(await folder.list()).toEqual(['x']);
});

describe('training checkpoints', () => {
  test('are kept, rotated and found', async () => {
    for (const step of [1, 2, 3, 3]) {
      await writeCheckpoint(folder, step, { 'sub/state': bytes(String(step)) }, { keep: 2 });
    }
    expect((await listCheckpoints(folder)).map(({ step }) => step)).toEqual([2, 3]);
    expect(await folder.list()).toEqual(['checkpoint-2', 'checkpoint-3']);
    const { checkpoint } = await latestValidCheckpoint(folder);
    expect(await checkpoint!.folder.readText('sub/state')).toBe('3');
  });

  test('a save that was interrupted does not count and is cleaned up', async () => {
    await writeCheckpoint(folder, 1, { state: bytes('1') });
    async function* broken() {
      yield bytes('half');
      throw new RangeError('the tab was closed');
    }
    await expect(writeCheckpoint(folder, 2, { first: bytes('1'), state: broken() })).rejects.toThrow(
      RangeError,
    );
    expect((await latestValidCheckpoint(folder)).checkpoint!.step).toBe(1);
    await writeCheckpoint(folder, 3, { state: bytes('3') }, { keep: 1 });
    expect(await folder.list()).toEqual(['checkpoint-3']);
  });
});
