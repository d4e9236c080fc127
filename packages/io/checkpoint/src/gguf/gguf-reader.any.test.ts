import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FileParts, ggufFile, text, u32, u64, value } from '../../test/gguf-file.ts';
import { CheckpointError, UnsupportedDtypeError } from '../errors.ts';
import type { FileSource } from '../folder.ts';
import { GgufError } from './gguf-error.ts';
import { openGguf } from './gguf-reader.ts';

async function refusal(file: Uint8Array | FileSource): Promise<CheckpointError> {
  const error = await openGguf(file).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as Error).message).not.toContain('\n');
  return error as CheckpointError;
}

async function problem(parts: FileParts | Uint8Array): Promise<string> {
  const error = await refusal(parts instanceof Uint8Array ? parts : ggufFile(parts));
  expect(error).toBeInstanceOf(GgufError);
  return (error as GgufError).problem;
}

const key = (bytes: Uint8Array): FileParts => ({ keys: [['a.key', bytes]] });
const nested = (depth: number): Uint8Array =>
  depth === 0 ? value.array(0, []) : value.array(9, [nested(depth - 1).subarray(4)]);
const tensor = { name: 'w', dimensions: [4] };

describe('what a file holds', () => {
  test.each([2, 3])('version %i', async (version) => {
    const file = ggufFile({
      version,
      keys: [
        ['general.architecture', value.text('llama')],
        ['tokens', value.array(8, [text('a'), text('')])],
        ['flag', value.flag(1)],
        ['lists', value.array(9, [nested(0).subarray(4), value.array(4, [u32(7)]).subarray(4)])],
      ],
      tensors: [
        { name: 'b', dimensions: [3, 2], type: 24, offset: 32 },
        { name: 'a', dimensions: [2] },
      ],
      data: 40,
    });
    const gguf = await openGguf(file);
    expect(gguf.version).toBe(version);
    expect([...gguf.metadata]).toEqual([['general.architecture', 'llama']]);
    expect(gguf.keyValues.get('tokens')).toEqual(['a', '']);
    expect(gguf.keyValues.get('flag')).toBe(true);
    expect(gguf.keyValues.get('lists')).toEqual([new Uint8Array(), Uint32Array.of(7)]);
    expect([...gguf.tensors.keys()]).toEqual(['b', 'a']);
    expect(gguf.tensors.get('b')).toMatchObject({ dtype: 'I8', shape: [2, 3], byteLength: 6 });
    expect([...(await gguf.read('b'))]).toEqual([32, 33, 34, 35, 36, 37]);
    expect([...(await gguf.read('b', { offset: 1, length: 2 }))]).toEqual([33, 34]);
    expect(await gguf.readFloat32('b')).toEqual(Float32Array.of(32, 33, 34, 35, 36, 37));
    await expect(gguf.read('b', { offset: 1, length: 6 })).rejects.toThrow('outside tensor "b"');
    await expect(gguf.read('c')).rejects.toThrow('missing: "c"');
  });

  test('a header longer than what is read at first is read on, and no more', async () => {
    const long = 'x'.repeat(3_000_000);
    const bytes = ggufFile({
      keys: [
        ['long', value.text(long)],
        [
          'tokens',
          value.array(
            8,
            Array.from({ length: 1000 }, (_, i) => text(`t${i}`)),
          ),
        ],
      ],
      tensors: [{ name: 'w', dimensions: [5_000_000], type: 24 }],
      data: 5_000_000,
    });
    const reads: number[] = [];
    const file: FileSource = {
      name: 'long.gguf',
      size: async () => bytes.length,
      read: async (offset, length) => {
        reads.push(length);
        return bytes.slice(offset, offset + length);
      },
    };
    const gguf = await openGguf(file);
    expect(gguf.keyValues.get('long')).toBe(long);
    expect(gguf.keyValues.get('tokens')).toHaveLength(1000);
    expect(reads.reduce((a, b) => a + b)).toBeLessThan(6_100_000);
  });

  test('a name of Object.prototype is a plain key', async () => {
    const gguf = await openGguf(
      ggufFile({
        keys: [['__proto__', value.u32(1)]],
        tensors: [{ ...tensor, name: 'constructor' }],
        data: 16,
      }),
    );
    expect(gguf.keyValues.get('__proto__')).toBe(1);
    expect(gguf.tensors.get('toString')).toBeUndefined();
    expect(gguf.tensors.get('constructor')!.shape).toEqual([4]);
  });

  test('a dtype that is in the format and not dequantized says so when it is read', async () => {
    const gguf = await openGguf(ggufFile({ tensors: [{ name: 'w', dimensions: [32], type: 20 }], data: 18 }));
    expect(await gguf.read('w')).toHaveLength(18);
    const error = await gguf.readFloat32('w').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnsupportedDtypeError);
    expect((error as Error).message).toMatch(/IQ4_NL.*Q4_K/);
  });
});

describe('what is refused', () => {
  test.each<[string, FileParts | Uint8Array, string]>([
    ['an empty file', new Uint8Array(), 'truncated'],
    ['other magic', { magic: 'GGML' }, 'magic'],
    ['version 1', { version: 1 }, 'version'],
    ['version 4', { version: 4 }, 'version'],
    ['big endian', { version: 0x03000000 }, 'big-endian'],
    ['2^63 keys', { keyCount: 2n ** 63n }, 'count'],
    ['2^64-1 tensors', { tensorCount: 2n ** 64n - 1n }, 'count'],
    ['a key more than there is', { keys: [['a', value.u32(1)]], keyCount: 2, data: 0 }, 'count'],
    ['a key of 2^60 bytes', { keys: [[text('a', 2n ** 60n), value.u32(1)]] }, 'string-length'],
    ['a string of 2^60 bytes', key(value.text('a', 2n ** 60n)), 'string-length'],
    ['a string one byte longer than the file', key(value.text('a', 2)), 'string-length'],
    ['an empty key', { keys: [['', value.u32(1)]] }, 'key'],
    [
      'a key twice',
      {
        keys: [
          ['a', value.u32(1)],
          ['a', value.u32(1)],
        ],
      },
      'duplicate-key',
    ],
    [
      'text that is not UTF-8',
      { keys: [[new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0x28]), value.u32(1)]] },
      'utf8',
    ],
    ['an unknown type', key(u32(13)), 'value-type'],
    ['an unknown type of elements', key(value.array(99, [], 0)), 'value-type'],
    ['a flag of 2', key(value.flag(2)), 'value'],
    ['arrays five deep', key(nested(5)), 'nesting'],
    ['2^61 numbers', key(value.array(6, [], 2n ** 61n)), 'array-length'],
    ['2^40 texts', key(value.array(8, [text('a')], 2n ** 40n)), 'array-length'],
    ['2^40 arrays', key(value.array(9, [], 2n ** 40n)), 'array-length'],
    ['alignment 0', { keys: [['general.alignment', value.u32(0)]] }, 'alignment'],
    ['alignment 3', { keys: [['general.alignment', value.u32(3)]] }, 'alignment'],
    ['alignment 0.5', { keys: [['general.alignment', value.f32(0.5)]] }, 'alignment'],
    ['a text for an alignment', { keys: [['general.alignment', value.text('32')]] }, 'alignment'],
    [
      'an alignment beyond the file',
      { keys: [['general.alignment', value.u32(2 ** 30)]], tensors: [tensor], data: 16 },
      'truncated',
    ],
    ['a tensor without a name', { tensors: [{ ...tensor, name: '' }], data: 16 }, 'tensor-name'],
    ['a tensor twice', { tensors: [tensor, { ...tensor, offset: 32 }], data: 64 }, 'duplicate-tensor'],
    ['five dimensions', { tensors: [{ ...tensor, dimensions: [1, 1, 1, 1, 1] }], data: 16 }, 'shape'],
    ['2^32-1 dimensions', { tensors: [{ ...tensor, rank: 2 ** 32 - 1 }], data: 16 }, 'shape'],
    [
      'a shape beyond 2^53',
      { tensors: [{ ...tensor, dimensions: [2n ** 32n, 2n ** 32n] }], data: 16 },
      'overflow',
    ],
    [
      'a shape that wraps 2^64 to 0',
      { tensors: [{ ...tensor, dimensions: [2n ** 63n, 2n] }], data: 16 },
      'overflow',
    ],
    [
      'nothing of a dimension of 2^63',
      { tensors: [{ ...tensor, dimensions: [0, 2n ** 63n] }], data: 16 },
      'overflow',
    ],
    ['rows of no whole block', { tensors: [{ ...tensor, dimensions: [48], type: 2 }], data: 64 }, 'shape'],
    ['a scalar of blocks', { tensors: [{ ...tensor, dimensions: [], type: 2 }], data: 64 }, 'shape'],
    ['type 4, which is gone', { tensors: [{ ...tensor, type: 4 }], data: 16 }, 'unknown-dtype'],
    ['type 2^32-1', { tensors: [{ ...tensor, type: 2 ** 32 - 1 }], data: 16 }, 'unknown-dtype'],
    ['an offset beyond the file', { tensors: [{ ...tensor, offset: 4096 }], data: 16 }, 'truncated'],
    ['an offset of 2^63', { tensors: [{ ...tensor, offset: 2n ** 63n }], data: 16 }, 'offset'],
    ['an offset that is not aligned', { tensors: [{ ...tensor, offset: 4 }], data: 64 }, 'offset'],
    [
      'a tensor inside another',
      {
        tensors: [
          { ...tensor, dimensions: [16] },
          { ...tensor, name: 'v', offset: 32 },
        ],
        data: 64,
      },
      'overlap',
    ],
    ['two tensors at one place', { tensors: [tensor, { ...tensor, name: 'v' }], data: 64 }, 'overlap'],
    ['data cut by a byte', { tensors: [tensor], data: 15 }, 'truncated'],
    ['no data at all', { tensors: [tensor] }, 'truncated'],
  ])('%s', async (_, parts, expected) => {
    expect(await problem(parts)).toBe(expected);
  });

  test.each<[string, string, RegExp]>([
    [
      'a Git LFS pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:1',
      /Git LFS pointer.*git lfs pull/,
    ],
    ['a pickle', 'PK\x03\x04....', /pickle/],
    ['a web page', '<!DOCTYPE html>', /web page/],
    ['safetensors', '\x10\0\0\0\0\0\0\0{"a":1}', /safetensors file, not GGUF/],
    ['anything', 'hello, world', /begins with "hell", not "GGUF"/],
  ])('%s, by its first bytes', async (_, start, message) => {
    expect((await refusal(Uint8Array.from(start, (c) => c.charCodeAt(0)))).message).toMatch(message);
  });

  test('a claim is refused before memory is taken for it', async () => {
    // A file that claims to be large, so that counts and lengths are possible, and fails when its bytes are read.
    const header = ggufFile(key(value.array(4, [], 2n ** 31n)));
    const file: FileSource = {
      name: 'sparse.gguf',
      size: async () => 2 ** 40,
      read: async (offset, length) => {
        expect(length).toBeLessThanOrEqual(2 ** 20);
        const bytes = new Uint8Array(length);
        if (offset === 0) bytes.set(header);
        return bytes;
      },
    };
    const error = await refusal(file);
    expect((error as GgufError).problem).toBe('count');
    expect(error.message).toContain('longer than 268435456 bytes');
  });

  test('more strings than memory should hold', async () => {
    const strings = 2 ** 23 + 1;
    const start = ggufFile(key(value.array(8, [], strings)));
    const bytes = new Uint8Array(start.length + strings * 8);
    bytes.set(start);
    expect(await problem(bytes)).toBe('array-length');
  });
});

describe('damaged files', () => {
  const whole = ggufFile({
    keys: [
      ['general.alignment', value.u32(32)],
      ['general.name', value.text('a name')],
      ['tokens', value.array(8, [text('a'), text('bc')])],
      ['scores', value.array(6, [u32(1), u32(2)])],
      ['lists', value.array(9, [nested(1).subarray(4)])],
    ],
    tensors: [
      { name: 'first', dimensions: [32, 2], type: 2 },
      { name: 'second', dimensions: [8], offset: 64 },
    ],
    data: 96,
  });

  /** Opens and reads everything; anything but a success or an error of this package fails. */
  async function attempt(bytes: Uint8Array): Promise<void> {
    try {
      const gguf = await openGguf(bytes);
      for (const [name, { byteOffset, byteLength }] of gguf.tensors) {
        expect(byteOffset + byteLength).toBeLessThanOrEqual(bytes.length);
        await gguf.readFloat32(name);
      }
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
    }
  }

  test('cut at every length', async () => {
    for (let length = 0; length < whole.length; length++) {
      expect(await refusal(whole.slice(0, length))).toBeInstanceOf(CheckpointError);
    }
  });

  test('bytes replaced by chance', async () => {
    const header = whole.length - 96;
    const change = fc.tuple(
      fc.nat({ max: header - 1 }),
      fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat({ max: 255 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = whole.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        await attempt(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test('words of 8 bytes replaced, pieces removed and doubled', async () => {
    const number = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: whole.length - 8 }),
        number,
        fc.nat({ max: whole.length }),
        fc.integer({ min: -40, max: 40 }),
        async (at, word, from, by) => {
          const bytes = whole.slice();
          bytes.set(u64(word), at);
          const rest = Math.max(0, from + by);
          await attempt(Uint8Array.from([...bytes.subarray(0, from), ...bytes.subarray(rest)]));
        },
      ),
      { numRuns: 3000 },
    );
  });
});
