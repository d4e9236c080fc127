import { describe, expect, test } from 'vitest';
import oracle from '../test/fixtures/numbers.json' with { type: 'json' };
import { bytesOf, fromFloat32, toFloat32 } from './numbers.ts';
import { sha256 } from './piece-hash.ts';

const all16 = Uint16Array.from({ length: 65536 }, (_, i) => i);
const all8 = Uint8Array.from({ length: 256 }, (_, i) => i);

/** As in the script of the oracle: a NaN counts as zero. */
const digest32 = (values: Float32Array) =>
  sha256(bytesOf(values.map((value) => (Number.isNaN(value) ? 0 : value))));
const digest16 = (halves: Uint16Array, infinity: number) =>
  sha256(bytesOf(halves.map((half) => ((half & 0x7fff) > infinity ? 0 : half))));

describe('against numpy and ml_dtypes', () => {
  test('every 16-bit pattern widens to the same float32', async () => {
    expect(await digest32(toFloat32('F16', bytesOf(all16))!)).toBe(oracle['F16 to F32']);
    expect(await digest32(toFloat32('BF16', bytesOf(all16))!)).toBe(oracle['BF16 to F32']);
  });

  test('every 8-bit pattern widens to the same float32', async () => {
    expect(await digest32(toFloat32('F8_E4M3', all8)!)).toBe(oracle['F8_E4M3 to F32']);
    expect(await digest32(toFloat32('F8_E5M2', all8)!)).toBe(oracle['F8_E5M2 to F32']);
  });

  test('a million float32, all ties and their neighbours, narrow to the same halves', async () => {
    const spread = Uint32Array.from({ length: 1 << 20 }, (_, i) => Math.imul(i, 2654435761));
    const middles = new Uint32Array(toFloat32('F16', bytesOf(all16))!.buffer);
    const near = [0, 0x0fff, 0x1000, 0x1001].flatMap((d) => Array.from(middles, (bits) => bits + d));
    const brains = [0, 0x7fff, 0x8000, 0x8001].flatMap((d) => Array.from(all16, (half) => half * 65536 + d));
    const values = new Float32Array(Uint32Array.from([...spread, ...near, ...brains]).buffer);
    const narrowed = (dtype: 'F16' | 'BF16') => new Uint16Array(fromFloat32(dtype, values).buffer);
    expect(await digest16(narrowed('F16'), 0x7c00)).toBe(oracle['F32 to F16']);
    expect(await digest16(narrowed('BF16'), 0x7f80)).toBe(oracle['F32 to BF16']);
  });

  test('64-bit integers are rounded once', () => {
    const values = BigInt64Array.from(oracle.I64, BigInt);
    expect(Array.from(toFloat32('I64', bytesOf(values))!)).toEqual(oracle['I64 to F32']);
    const unsigned = BigUint64Array.of((1n << 64n) - 1n, (1n << 63n) + (1n << 39n) + 1n);
    expect(Array.from(toFloat32('U64', bytesOf(unsigned))!)).toEqual([2 ** 64, 2 ** 63 + 2 ** 40]);
  });
});

test('bytes at an odd address', () => {
  const memory = new Uint8Array(9);
  memory.set(bytesOf(Float32Array.of(1.5, -2)), 1);
  expect(Array.from(toFloat32('F32', memory.subarray(1))!)).toEqual([1.5, -2]);
  expect(toFloat32('F16', memory.subarray(1, 3))).toHaveLength(1);
});

test('integers and booleans', () => {
  expect(Array.from(toFloat32('I8', Uint8Array.of(255, 127))!)).toEqual([-1, 127]);
  expect(Array.from(toFloat32('BOOL', Uint8Array.of(0, 1, 2))!)).toEqual([0, 1, 1]);
  expect(Array.from(toFloat32('I16', bytesOf(Int16Array.of(-300)))!)).toEqual([-300]);
  expect(Array.from(toFloat32('U16', bytesOf(Uint16Array.of(65535)))!)).toEqual([65535]);
  expect(Array.from(toFloat32('U32', bytesOf(Uint32Array.of(4294967295)))!)).toEqual([4294967296]);
  expect(Array.from(toFloat32('F64', bytesOf(Float64Array.of(0.1)))!)).toEqual([Math.fround(0.1)]);
});

test('NaN stays NaN and keeps out of infinity', () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xffffffff).buffer);
  for (const dtype of ['F16', 'BF16', 'F32'] as const) {
    expect(Array.from(toFloat32(dtype, fromFloat32(dtype, nan))!)).toEqual([Number.NaN, Number.NaN]);
  }
});
