import { describe, expect, test } from 'vitest';
import { CheckpointCorruptError, CheckpointError, FileWriteError, NewerFormatError } from './errors.ts';
import type { FileContent, Folder } from './folder.ts';
import { type MemoryFiles, memoryFolder } from './memory-folder.ts';
import { digesting, matches, sha256 } from './piece-hash.ts';
import {
  latestValidCheckpoint,
  listCheckpoints,
  readCheckpoint,
  writeCheckpoint,
} from './training-checkpoint.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const filesOf = (step: number, version = '') => ({
  'adapter_model.safetensors': bytes(`weights ${step} ${version}`),
  'trainer_state.json': bytes(JSON.stringify({ step, version })),
});
const steps = async (folder: Folder) => (await listCheckpoints(folder)).map(({ step }) => step);

async function textOf(folder: Folder, name: string): Promise<string> {
  return folder.readText(name);
}

test('the newest are kept, numbers in order, protected ones stay', async () => {
  const folder = memoryFolder();
  for (const step of [8, 9, 10, 11, 100]) {
    await writeCheckpoint(folder, step, filesOf(step), { keep: 2, protect: [8] });
  }
  expect(await steps(folder)).toEqual([8, 100]);
  await writeCheckpoint(folder, 101, filesOf(101), { keep: 3 });
  expect(await steps(folder)).toEqual([8, 100, 101]);
  expect(await folder.list()).toEqual(['checkpoint-100', 'checkpoint-101', 'checkpoint-8']);
  const { checkpoint, skipped } = await latestValidCheckpoint(folder);
  expect(skipped).toEqual([]);
  expect(checkpoint!.step).toBe(101);
  expect([...checkpoint!.files.keys()]).toEqual(['adapter_model.safetensors', 'trainer_state.json']);
  expect(await textOf(checkpoint!.folder, 'trainer_state.json')).toBe('{"step":101,"version":""}');
});

test('nothing there', async () => {
  expect(await latestValidCheckpoint(memoryFolder())).toEqual({ checkpoint: undefined, skipped: [] });
  await expect(readCheckpoint(memoryFolder(), 3)).rejects.toThrow(
    'checkpoint-3/manifest.json: the file does not exist',
  );
});

test('streamed files in sub-folders, and an empty one', async () => {
  async function* stream() {
    yield bytes('a');
    yield bytes('b');
  }
  const folder = memoryFolder();
  const content: Record<string, FileContent> = { 'adapter/x': stream(), empty: new Uint8Array() };
  await writeCheckpoint(folder, 0, new Map(Object.entries(content)));
  const { files, folder: inside } = await readCheckpoint(folder, 0);
  expect(await textOf(inside, 'adapter/x')).toBe('ab');
  // echo -n ab | sha256sum
  expect(files.get('adapter/x')).toEqual({
    byteLength: 2,
    sha256: ['fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603'],
  });
  expect(files.get('empty')).toEqual({ byteLength: 0, sha256: [] });
});

describe('damage', () => {
  async function three() {
    const store: MemoryFiles = new Map();
    const folder = memoryFolder(store);
    for (const step of [1, 2, 3]) await writeCheckpoint(folder, step, filesOf(step));
    return { store, folder };
  }

  const damages: [string, (store: MemoryFiles) => unknown][] = [
    ['a changed bit', (store) => (store.get('checkpoint-3/trainer_state.json')![0]! ^= 1)],
    ['a cut file', (store) => store.set('checkpoint-3/trainer_state.json', bytes('{'))],
    ['an empty file', (store) => store.set('checkpoint-3/trainer_state.json', new Uint8Array())],
    ['a lost file', (store) => store.delete('checkpoint-3/trainer_state.json')],
    ['a lost manifest', (store) => store.delete('checkpoint-3/manifest.json')],
    ['a cut manifest', (store) => store.set('checkpoint-3/manifest.json', bytes('{"format":'))],
    [
      'a manifest of another step',
      (store) => store.set('checkpoint-3/manifest.json', store.get('checkpoint-2/manifest.json')!),
    ],
    ['a manifest of another tool', (store) => store.set('checkpoint-3/manifest.json', bytes('{"files":{}}'))],
    [
      'a manifest that leads out',
      (store) => {
        const text = new TextDecoder().decode(store.get('checkpoint-3/manifest.json')!);
        store.set(
          'checkpoint-3/manifest.json',
          bytes(text.replace('trainer_state.json', '../checkpoint-2/trainer_state.json')),
        );
      },
    ],
    [
      'a manifest with a missing hash',
      (store) => {
        const text = new TextDecoder().decode(store.get('checkpoint-3/manifest.json')!);
        store.set('checkpoint-3/manifest.json', bytes(text.replace(/"[0-9a-f]{64}"/g, '')));
      },
    ],
  ];
  test.each(damages)('%s: refused by step, passed over for the one before', async (_, damage) => {
    const { store, folder } = await three();
    damage(store);
    await expect(readCheckpoint(folder, 3)).rejects.toThrow(CheckpointError);
    const { checkpoint, skipped } = await latestValidCheckpoint(folder);
    expect(checkpoint!.step).toBe(2);
    expect(skipped.map(({ name }) => name)).toEqual(['checkpoint-3']);
  });

  test('the error names the file', async () => {
    const { store, folder } = await three();
    store.get('checkpoint-3/trainer_state.json')![0]! ^= 1;
    const error = await readCheckpoint(folder, 3).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CheckpointCorruptError);
    expect(error).toMatchObject({ file: 'memory/checkpoint-3/trainer_state.json' });
  });

  test('a later format is never passed over in silence', async () => {
    const { store, folder } = await three();
    const text = new TextDecoder().decode(store.get('checkpoint-3/manifest.json')!);
    store.set('checkpoint-3/manifest.json', bytes(text.replace('"version": 1', '"version": 2')));
    await expect(latestValidCheckpoint(folder)).rejects.toThrow(NewerFormatError);
  });
});

test("another tool's folder of the same name is neither counted nor touched", async () => {
  const store: MemoryFiles = new Map([['checkpoint-5/pytorch_model.bin', bytes('theirs')]]);
  const folder = memoryFolder(store);
  await expect(writeCheckpoint(folder, 5, filesOf(5))).rejects.toThrow(FileWriteError);
  for (const step of [6, 7]) await writeCheckpoint(folder, step, filesOf(step), { keep: 1 });
  expect(await steps(folder)).toEqual([7]);
  expect(store.get('checkpoint-5/pytorch_model.bin')).toEqual(bytes('theirs'));
});

test('wrong arguments', async () => {
  const folder = memoryFolder();
  for (const step of [-1, 1.5, Number.NaN]) {
    await expect(writeCheckpoint(folder, step, {})).rejects.toThrow('is not a step');
  }
  await expect(writeCheckpoint(folder, 1, {}, { keep: 0 })).rejects.toThrow('Keep at least 1');
  await expect(writeCheckpoint(folder, 1, { '../x': bytes('') })).rejects.toThrow('refused to follow');
  await expect(writeCheckpoint(folder, 1, { 'manifest.json': bytes('') })).rejects.toThrow('manifest.json');
  expect(await latestValidCheckpoint(folder)).toMatchObject({ checkpoint: undefined });
});

/** The folder that stops working after so many changes, as if the process had been killed there. */
function stoppingAfter(folder: Folder, changes: number): { folder: Folder; stopped: () => boolean } {
  let left = changes;
  const change = () => {
    if (left-- <= 0) throw new Error('killed');
  };
  const wrap = (inner: Folder): Folder => ({
    ...inner,
    folder: (name) => wrap(inner.folder(name)),
    writeAtomic: async (name, content) => {
      change();
      await inner.writeAtomic(name, content);
    },
    // A folder is removed file by file, in an order that nobody promises.
    remove: async (name) => {
      const held = await inner.folder(name).list();
      for (const each of held.sort().reverse()) {
        change();
        await inner.remove(`${name}/${each}`);
      }
      change();
      await inner.remove(name);
    },
    ...(inner.rename && {
      rename: async (from: string, to: string) => {
        change();
        await inner.rename!(from, to);
      },
    }),
  });
  return { folder: wrap(folder), stopped: () => left < 0 };
}

/** A folder that cannot rename, as in a browser's private file system. */
function withoutRename(folder: Folder): Folder {
  const { rename: _, ...rest } = folder;
  return { ...rest, folder: (name) => withoutRename(folder.folder(name)) };
}

describe('killed between any two changes', () => {
  const places: [string, (store: MemoryFiles) => Folder][] = [
    ['with rename', (store) => memoryFolder(store)],
    ['without rename', (store) => withoutRename(memoryFolder(store))],
  ];
  test.each(places)('%s: a new step', async (_, open) => {
    let moments = 0;
    for (let changes = 0; ; changes++) {
      const store: MemoryFiles = new Map();
      for (const step of [1, 2]) await writeCheckpoint(open(store), step, filesOf(step), { keep: 2 });
      const { folder, stopped } = stoppingAfter(open(store), changes);
      const saved = await writeCheckpoint(folder, 3, filesOf(3), { keep: 2 }).then(
        () => true,
        () => false,
      );
      expect(saved).toBe(!stopped());
      const { checkpoint } = await latestValidCheckpoint(open(store));
      expect([2, 3]).toContain(checkpoint!.step);
      expect(await textOf(checkpoint!.folder, 'trainer_state.json')).toContain(`"step":${checkpoint!.step}`);
      // The next run goes on from there and leaves no rest behind.
      await writeCheckpoint(open(store), 4, filesOf(4), { keep: 1 });
      expect(await open(store).list()).toEqual(['checkpoint-4']);
      moments++;
      if (saved) break;
    }
    expect(moments).toBeGreaterThan(6);
  });

  test('without rename: the same step once more goes back to the step before at worst', async () => {
    for (let changes = 0; ; changes++) {
      const store: MemoryFiles = new Map();
      const open = () => withoutRename(memoryFolder(store));
      for (const step of [1, 2]) await writeCheckpoint(open(), step, filesOf(step, 'old'));
      const { folder } = stoppingAfter(open(), changes);
      const saved = await writeCheckpoint(folder, 2, filesOf(2, 'new')).then(
        () => true,
        () => false,
      );
      const { checkpoint } = await latestValidCheckpoint(open());
      const state = JSON.parse(await textOf(checkpoint!.folder, 'trainer_state.json'));
      expect(saved ? ['2 new'] : ['2 new', '2 old', '1 old']).toContain(`${state.step} ${state.version}`);
      await writeCheckpoint(open(), 3, filesOf(3), { keep: 1 });
      expect(await open().list()).toEqual(['checkpoint-3']);
      if (saved) break;
    }
  });

  test('with rename: the same step once more, when it is the only one', async () => {
    for (let changes = 0; ; changes++) {
      const store: MemoryFiles = new Map();
      await writeCheckpoint(memoryFolder(store), 1, filesOf(1, 'old'));
      const { folder } = stoppingAfter(memoryFolder(store), changes);
      const saved = await writeCheckpoint(folder, 1, filesOf(1, 'new')).then(
        () => true,
        () => false,
      );
      const { checkpoint } = await latestValidCheckpoint(memoryFolder(store));
      const state = await textOf(checkpoint!.folder, 'trainer_state.json');
      expect(state).toMatch(saved ? /"new"/ : /"old"|"new"/);
      await writeCheckpoint(memoryFolder(store), 2, filesOf(2));
      expect(await memoryFolder(store).list()).toEqual(['checkpoint-1', 'checkpoint-2']);
      expect(await textOf(memoryFolder(store), 'checkpoint-1/trainer_state.json')).toBe(state);
      if (saved) break;
    }
  });
});

test('a write that fails leaves the older checkpoints, and the new one is not counted', async () => {
  const folder = memoryFolder();
  for (const step of [1, 2]) await writeCheckpoint(folder, step, filesOf(step));
  async function* full(): AsyncGenerator<Uint8Array> {
    yield bytes('part');
    throw new FileWriteError('x', 'the disk is full', 'Free space', 'ENOSPC');
  }
  await expect(writeCheckpoint(folder, 3, { x: full() }, { keep: 1 })).rejects.toMatchObject({
    code: 'ENOSPC',
  });
  expect(await steps(folder)).toEqual([1, 2]);
});

test('what the disk wrote wrongly is noticed before older checkpoints go', async () => {
  const store: MemoryFiles = new Map();
  const folder = memoryFolder(store);
  for (const step of [1, 2]) await writeCheckpoint(folder, step, filesOf(step), { keep: 2 });
  const lying = (inner: Folder): Folder => ({
    ...inner,
    folder: (name) => lying(inner.folder(name)),
    writeAtomic: async (name, content) => {
      await inner.writeAtomic(name, content);
      if (name === 'trainer_state.json') store.get('checkpoint-3.tmp/trainer_state.json')![0]! ^= 1;
    },
  });
  await expect(writeCheckpoint(lying(folder), 3, filesOf(3), { keep: 1 })).rejects.toThrow(
    CheckpointCorruptError,
  );
  expect(await steps(folder)).toEqual([1, 2]);
});

test('hashes by pieces do not depend on how the content comes', async () => {
  const content = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
  const expected: string[] = [];
  for (let at = 0; at < 100; at += 16) expected.push(await sha256(content.subarray(at, at + 16)));
  for (const step of [1, 5, 16, 17, 40, 100]) {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < 100; at += step) parts.push(content.subarray(at, at + step));
    const { content: through, digest } = digesting(parts, 16);
    const passed: number[] = [];
    for await (const part of through) passed.push(...part);
    expect(passed).toEqual([...content]);
    expect(digest()).toEqual({ byteLength: 100, sha256: expected });
    const source = {
      name: 'x',
      size: async () => 100,
      read: async (o: number, n: number) => content.slice(o, o + n),
    };
    expect(await matches(source, digest(), 16)).toBe(true);
    expect(await matches(source, { ...digest(), sha256: expected.slice(1) }, 16)).toBe(false);
    expect(await matches(source, { ...digest(), byteLength: 99 }, 16)).toBe(false);
  }
});
