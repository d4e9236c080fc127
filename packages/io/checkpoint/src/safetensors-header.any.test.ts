import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import verdicts from '../test/fixtures/verdicts.json' with { type: 'json' };
import { fileOf, fromHex } from '../test/hex.ts';
import { CheckpointError, SafetensorsError } from './errors.ts';
import type { FileSource } from './folder.ts';
import { openSafetensors } from './safetensors-reader.ts';

async function refusal(bytes: Uint8Array): Promise<CheckpointError> {
  const error = await openSafetensors(bytes).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as Error).message).not.toContain('\n');
  return error as CheckpointError;
}

async function problem(bytes: Uint8Array): Promise<string> {
  const error = await refusal(bytes);
  expect(error).toBeInstanceOf(SafetensorsError);
  return (error as SafetensorsError).problem;
}

async function accepts(bytes: Uint8Array): Promise<boolean> {
  try {
    await openSafetensors(bytes);
    return true;
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

const tensor = (shape: string, offsets = '[0,1]', dtype = 'U8') =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

describe('against the Rust reader', () => {
  const base = fromHex(verdicts.base);
  const replacements = fromHex(verdicts.replacements);

  test('every byte of a header replaced', async () => {
    const different: string[] = [];
    for (const [at, row] of verdicts.replaced.entries()) {
      for (const [index, byte] of replacements.entries()) {
        const file = base.slice();
        file[at] = byte;
        const ours = (await accepts(file)) ? '1' : '0';
        if (ours !== row[index]) different.push(`byte ${at} = ${byte}: ours ${ours}, Rust ${row[index]}`);
      }
    }
    // A second "a" in place of "b" is a repeated name. The README forbids it and the Rust reader drops one
    // of the two, which then leaves a hole, so it is refused there too.
    expect(different).toEqual([]);
  });

  test('every byte removed, and every length cut', async () => {
    let removed = '';
    let cut = '';
    for (let at = 0; at < base.length; at++) {
      removed += (await accepts(Uint8Array.from([...base.slice(0, at), ...base.slice(at + 1)]))) ? '1' : '0';
      cut += (await accepts(base.slice(0, at))) ? '1' : '0';
    }
    expect(removed).toBe(verdicts.removed);
    expect(cut).toBe(verdicts.cut);
  });

  test('single headers: never laxer, and stricter only where the README of the format is', async () => {
    const stricter: string[] = [];
    for (const [hex, size, rust] of verdicts.headers as [string, number, number][]) {
      const header = fromHex(hex);
      const ours = (await accepts(fileOf(header, size))) ? 1 : 0;
      const text = new TextDecoder().decode(header);
      if (ours > rust) expect.fail(`accepted what the Rust reader refuses: ${text}`);
      if (ours < rust) stricter.push(text);
    }
    const u8 = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    expect(stricter).toEqual([
      '  {}',
      `{"a":${u8},"a":${u8}}`,
      '{"a":["U8",[1],[0,1]]}',
      '{"__metadata__":{"a":"1","a":"2"}}',
      // Sizes beyond 2^53 of a tensor without elements.
      '{"a":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}',
      '{"a":{"dtype":"F32","shape":[9007199254740993,0],"data_offsets":[0,0]}}',
    ]);
  });
});

describe('hostile files', () => {
  test('0 to 7 bytes', async () => {
    for (let length = 0; length < 8; length++) {
      expect(await problem(new Uint8Array(length))).toBe('too-short');
    }
  });

  test('a header length of 2^63 and of 100 MB + 1 is refused before anything is read', async () => {
    for (const length of [1n << 63n, (1n << 64n) - 1n, 100_000_001n]) {
      const reads: number[] = [];
      const start = new Uint8Array(8);
      new DataView(start.buffer).setBigUint64(0, length, true);
      const source: FileSource = {
        name: 'large.safetensors',
        size: async () => 2 ** 40,
        read: async (offset, count) => {
          reads.push(count);
          return offset === 0 && count <= 8 ? start : new Uint8Array(Math.min(count, 64));
        },
      };
      await expect(openSafetensors(source)).rejects.toMatchObject({
        problem: 'header-too-large',
        file: 'large.safetensors',
      });
      expect(Math.max(...reads)).toBeLessThanOrEqual(64);
    }
  });

  test('a header longer than its file', async () => {
    const file = fileOf('{}');
    file[0] = 3;
    expect(await problem(file)).toBe('header-length');
  });

  test('a header that is not UTF-8', async () => {
    expect(await problem(fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)))).toBe('header-utf8');
  });

  test('space in front of the header is refused, behind it is padding', async () => {
    expect(await problem(fileOf(' {}'))).toBe('header-start');
    expect((await openSafetensors(fileOf('{}   '))).tensors.size).toBe(0);
  });

  test('a repeated name is named', async () => {
    const error = await refusal(fileOf(`{"w":${tensor('[1]')},"w":${tensor('[1]')}}`, 1));
    expect(error).toMatchObject({ problem: 'duplicate-key', tensors: ['w'] });
    expect(error.message).toContain('"w"');
  });

  test('names of the object prototype are plain names', async () => {
    const text = `{"__proto__":${tensor('[1]')},"constructor":${tensor('[1]', '[1,2]')},"toString":${tensor('[1]', '[2,3]')}}`;
    const { tensors } = await openSafetensors(fileOf(text, 3));
    expect([...tensors.keys()]).toEqual(['__proto__', 'constructor', 'toString']);
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
    expect(Object.getPrototypeOf(tensors)).toBe(Map.prototype);
  });

  test('overlap and hole name both tensors', async () => {
    const pair = (second: string) => `{"first":${tensor('[2]', '[0,2]')},"second":${tensor('[2]', second)}}`;
    for (const [offsets, size, expected] of [
      ['[1,3]', 3, 'overlap'],
      ['[3,5]', 5, 'hole'],
    ] as const) {
      const error = await refusal(fileOf(pair(offsets), size));
      expect(error).toMatchObject({ problem: expected, tensors: ['first', 'second'] });
      expect(error.message).toMatch(/"first".*"second"|"second".*"first"/);
    }
  });

  test('ten tensors over the same bytes', async () => {
    const members = Array.from({ length: 10 }, (_, i) => `"weight_${i}":${tensor('[2,2]', '[0,16]', 'F32')}`);
    expect(await problem(fileOf(`{${members.join(',')}}`, 16))).toBe('overlap');
  });

  test('bytes after the last tensor, and too few', async () => {
    expect(await problem(fileOf(`{"a":${tensor('[1]')}}`, 2))).toBe('trailing-bytes');
    expect(await problem(fileOf(`{"a":${tensor('[1]')}}`, 0))).toBe('truncated');
    expect(await problem(fileOf('{}', 1))).toBe('trailing-bytes');
  });

  test('sizes that overflow', async () => {
    for (const shape of ['[4294967296,4294967296]', '[2,18446744073709551614]', '[2,9223372036854775807]']) {
      expect(await problem(fileOf(`{"a":${tensor(shape, '[0,16]', 'I32')}}`, 16))).toBe('overflow');
    }
  });

  test('a shape with -1, 1.5, "3" or an exponent', async () => {
    for (const size of ['-1', '1.5', '"3"', '1e0', '-0', 'null', '[1]']) {
      const error = await refusal(fileOf(`{"a":${tensor(`[${size}]`)}}`, 1));
      expect(error).toMatchObject({ problem: 'shape', tensors: ['a'] });
    }
  });

  test('an unknown dtype lists the known ones', async () => {
    const error = await refusal(fileOf(`{"a":${tensor('[1]', '[0,1]', 'F4_X')}}`, 1));
    expect(error).toMatchObject({ problem: 'unknown-dtype' });
    for (const word of ['F4_X', 'F32', 'BF16', 'I64']) expect(error.message).toContain(word);
  });

  test('sub-byte dtypes end on a byte', async () => {
    expect(await problem(fileOf(`{"a":${tensor('[3]', '[0,1]', 'F4')}}`, 1))).toBe('misaligned');
    expect(await accepts(fileOf(`{"a":${tensor('[4]', '[0,3]', 'F6_E3M2')}}`, 3))).toBe(true);
  });

  test('scalars and tensors without elements are fine', async () => {
    const { tensors } = await openSafetensors(
      fileOf(`{"scalar":${tensor('[]')},"none":${tensor('[2,0]', '[0,0]')}}`, 1),
    );
    expect(tensors.get('scalar')!.shape).toEqual([]);
    expect(tensors.get('none')).toMatchObject({ shape: [2, 0], byteLength: 0 });
  });

  test('nesting a million deep, and a string of a million escapes', async () => {
    expect(await problem(fileOf(`{"a":${'['.repeat(1e6)}`))).toBe('header-json');
    expect(await problem(fileOf(`{"${'\\n'.repeat(1e6)}`))).toBe('header-json');
    const name = `"${'\\n'.repeat(1e6)}"`;
    expect(await accepts(fileOf(`{${name}:${tensor('[1]')}}`, 1))).toBe(true);
  });

  test('a name with a line break stays on one line of the message', async () => {
    await refusal(fileOf(`{"a\\nb\\u001b[31m":${tensor('[2]')}}`, 1));
  });

  test('any bytes at all give a typed refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (header) => {
        // No accepted header begins with an arbitrary byte but "{".
        const file = fileOf(header);
        if (header[0] !== 0x7b) await refusal(file);
        else await accepts(file);
      }),
      { numRuns: 300 },
    );
  });

  test('any JSON as header gives a tensor list or a typed refusal', async () => {
    const key = fc.constantFrom('a', 'b', '__metadata__', 'dtype', 'shape', 'data_offsets', '__proto__');
    const entry = fc.record(
      {
        dtype: fc.oneof(fc.constantFrom('U8', 'F32', 'F4', 'x'), fc.jsonValue()),
        shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 4 }), { maxLength: 3 }), fc.jsonValue()),
        data_offsets: fc.oneof(fc.tuple(fc.nat(20), fc.nat(20)), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(key, fc.oneof(entry, fc.jsonValue()));
    await fc.assert(
      fc.asyncProperty(header, fc.nat(16), async (value, size) => {
        const file = fileOf(JSON.stringify(value), size);
        if (!(await accepts(file))) return;
        // What is accepted covers exactly the data.
        const { tensors } = await openSafetensors(file);
        const covered = [...tensors.values()].reduce((sum, each) => sum + each.byteLength, 0);
        expect(covered).toBe(size);
      }),
      { numRuns: 500 },
    );
  });
});

describe('files that are something else', () => {
  const text = (content: string) => new TextEncoder().encode(content);
  const cases: [string, Uint8Array, string][] = [
    [
      'a Git LFS pointer',
      text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'),
      'GitLfsPointerError',
    ],
    ['a zip of PyTorch', text('PK\x03\x04 archive/data.pkl'), 'PickleRefusedError'],
    ['a bare pickle', Uint8Array.of(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9), 'PickleRefusedError'],
    ['GGUF', text('GGUF\x03\0\0\0 and more'), 'SafetensorsError'],
    ['a web page', text('<!DOCTYPE html><html>not found</html>'), 'SafetensorsError'],
  ];
  test.each(cases)('%s', async (_, bytes, name) => {
    const error = await refusal(bytes);
    expect(error.name).toBe(name);
    expect(error.message).toMatch(/Git LFS pointer|pickle|GGUF|web page/);
  });
});
