import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DTYPES, type Dtype, dtypeBits } from './dtypes.ts';
import { SafetensorsError, TensorMissingError, UnsupportedDtypeError } from './errors.ts';
import { openSafetensors } from './safetensors-reader.ts';
import {
  encodeSafetensors,
  streamSafetensors,
  type TensorData,
  type TensorStream,
} from './safetensors-writer.ts';

const tensors = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__metadata__'),
  fc
    .tuple(fc.constantFrom(...DTYPES), fc.array(fc.nat(5), { maxLength: 4 }))
    // Two leading rows of four make every sub-byte dtype end on a byte.
    .map(([dtype, shape]) => ({ dtype, shape: dtypeBits(dtype) < 8 ? [4, ...shape] : shape }))
    .chain(({ dtype, shape }) => {
      const length = (shape.reduce((a, b) => a * b, 1) * dtypeBits(dtype)) / 8;
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((data): TensorData & { dtype: Dtype } => ({ dtype, shape, data }));
    }),
  { noNullPrototype: true },
);
const metadata = fc.option(
  fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), { noNullPrototype: true }),
  { nil: undefined },
);

test('what is written is read back, and the data start at a multiple of 8', async () => {
  await fc.assert(
    fc.asyncProperty(tensors, metadata, async (entries, extra) => {
      const bytes = encodeSafetensors(entries, extra);
      const file = await openSafetensors(bytes);
      expect(new Set(file.tensors.keys())).toEqual(new Set(Object.keys(entries)));
      expect(new Map(file.metadata)).toEqual(new Map(Object.entries(extra ?? {})));
      expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
      for (const [name, { dtype, shape, data }] of Object.entries(entries)) {
        expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
        expect(await file.read(name)).toEqual(data);
      }
    }),
    { numRuns: 200 },
  );
});

test('streaming gives the same bytes, whatever the pieces', async () => {
  await fc.assert(
    fc.asyncProperty(tensors, fc.integer({ min: 1, max: 7 }), async (entries, step) => {
      const streams: Record<string, TensorStream> = {};
      for (const [name, { dtype, shape, data }] of Object.entries(entries)) {
        const bytes = data as Uint8Array;
        Object.defineProperty(streams, name, {
          enumerable: true,
          value: {
            dtype,
            shape,
            async *data() {
              for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
            },
          },
        });
      }
      const { byteLength, pieces } = streamSafetensors(streams, { format: 'pt' });
      const collected: number[] = [];
      for await (const piece of pieces) collected.push(...piece);
      expect(collected.length).toBe(byteLength);
      expect(Uint8Array.from(collected)).toEqual(encodeSafetensors(entries, { format: 'pt' }));
    }),
    { numRuns: 50 },
  );
});

test('the dtype of a typed array is its own', async () => {
  const file = await openSafetensors(
    encodeSafetensors({
      f: { shape: [2], data: new Float32Array([1, 2]) },
      d: { shape: [1], data: new Float64Array([0.5]) },
      i: { shape: [1], data: new Int32Array([-3]) },
      l: { shape: [1], data: new BigInt64Array([-4n]) },
      b: { shape: [2], data: new Uint8Array([5, 6]) },
    }),
  );
  const read = async (name: string) => [...(await file.readFloat32(name))];
  expect([...file.tensors].map(([name, { dtype }]) => `${name} ${dtype}`)).toEqual([
    'l I64',
    'd F64',
    'f F32',
    'i I32',
    'b U8',
  ]);
  expect(await Promise.all(['f', 'd', 'i', 'l', 'b'].map(read))).toEqual([[1, 2], [0.5], [-3], [-4], [5, 6]]);
});

test('ranges of a tensor', async () => {
  const file = await openSafetensors(
    encodeSafetensors({ a: { shape: [4], data: new Uint8Array([1, 2, 3, 4]) } }),
  );
  expect(await file.read('a', { offset: 1, length: 2 })).toEqual(new Uint8Array([2, 3]));
  for (const range of [
    { offset: 3, length: 2 },
    { offset: -1, length: 1 },
    { offset: 0.5, length: 1 },
  ]) {
    await expect(file.read('a', range)).rejects.toThrow('outside tensor "a"');
  }
});

test('missing tensors and dtypes without numbers are typed errors', async () => {
  const file = await openSafetensors(
    encodeSafetensors({ a: { dtype: 'C64', shape: [1], data: new Uint8Array(8) } }),
  );
  await expect(file.read('b')).rejects.toThrow(TensorMissingError);
  await expect(file.read('toString')).rejects.toThrow(TensorMissingError);
  await expect(file.readFloat32('a')).rejects.toThrow(UnsupportedDtypeError);
});

test('what cannot be written is refused', () => {
  const f32 = (shape: number[], length: number) => ({ shape, data: new Float32Array(length) });
  const refused: [Record<string, TensorData>, string][] = [
    [{ a: f32([2, 2], 3) }, 'needs 16 bytes and was given 12'],
    [{ __metadata__: f32([1], 1) }, '__metadata__'],
    [{ a: f32([-1], 1) }, '-1'],
    [{ a: f32([1.5], 1) }, '1.5'],
    [{ '\ud800': f32([1], 1) }, 'not valid Unicode'],
    [{ a: { dtype: 'F4', shape: [3], data: new Uint8Array(2) } }, 'whole number of bytes'],
    [{ a: { dtype: 'F4_X' as Dtype, shape: [3], data: new Uint8Array(2) } }, 'F4_X'],
    [{ a: f32([2 ** 30, 2 ** 30], 1) }, 'whole number of bytes'],
  ];
  for (const [entries, words] of refused) {
    expect(() => encodeSafetensors(entries)).toThrow(SafetensorsError);
    expect(() => encodeSafetensors(entries)).toThrow(words);
  }
});

test('a stream of another length than its shape is refused', async () => {
  for (const length of [3, 5]) {
    const { pieces } = streamSafetensors({
      a: { dtype: 'F32', shape: [1], data: () => new Uint8Array(length) },
    });
    const drain = async () => {
      for await (const _ of pieces);
    };
    await expect(drain()).rejects.toThrow(`needs 4 bytes and was given ${length}`);
  }
});
