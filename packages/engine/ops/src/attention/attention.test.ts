import { evaluate } from '@graftjs/reference';
import {
  concat,
  matmul,
  mul,
  narrow,
  type Shape,
  ShapeError,
  sizeOf,
  type Tensor,
  transpose,
  Variable,
  zeros,
} from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { DropoutError, dropout } from '../dropout.ts';
import { softmax } from '../softmax.ts';
import { attention } from './attention.ts';

const values = (shape: Shape, salt: number) =>
  new Variable(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(salt * (i + 1))),
  );
const i32 = (shape: Shape, data: number[]) => new Variable(shape, Int32Array.from(data));

test('a cache read at an offset gives what the whole sequence gives', () => {
  const [q, k, v] = [values([1, 2, 6, 4], 1), values([1, 2, 6, 4], 2), values([1, 2, 6, 4], 3)];
  const [whole] = evaluate([attention(q, k, v, { causal: true })]);
  // the last two queries against all six keys
  const tail = values([1, 2, 2, 4], 1);
  const data = [...q.pending!];
  tail.set(Float32Array.from([...data.slice(16, 24), ...data.slice(40, 48)]));
  const [byDefault, byOffset] = evaluate([
    attention(tail, k, v, { causal: true }),
    attention(tail, k, v, { causal: true, offset: i32([], [4]) }),
  ]);
  const expected = [...whole!.slice(16, 24), ...whole!.slice(40, 48)];
  expect([...byDefault!]).toEqual(expected);
  expect([...byOffset!]).toEqual(expected);
});

test('a query that sees no key gives zeros', () => {
  const [q, k, v] = [values([1, 1, 3, 4], 1), values([1, 1, 3, 4], 2), values([1, 1, 3, 4], 3)];
  const [y] = evaluate([attention(q, k, v, { causal: true, keyMask: i32([1, 3], [0, 1, 1]) })]);
  expect([...y!.slice(0, 4)]).toEqual([0, 0, 0, 0]);
  expect([...y!.slice(4, 8)]).toEqual([...v.pending!.slice(4, 8)]);
});

test('segments give what each text alone gives, with a prefix that all share', () => {
  const [prefix, lengths] = [2, [3, 1, 4]];
  const t = lengths.reduce((a, b) => a + b);
  const [q, k, v] = [
    values([1, 2, t, 4], 1),
    values([1, 1, prefix + t, 4], 2),
    values([1, 1, prefix + t, 4], 3),
  ];
  const bounds: number[] = [];
  const alone: Tensor[] = [];
  for (const causal of [true, false]) {
    let begin = 0;
    for (const length of lengths) {
      const own = (x: Tensor): Tensor =>
        concat([narrow(x, 2, 0, prefix), narrow(x, 2, prefix + begin, length)], 2);
      const options = causal ? { causal, window: 3 } : {};
      alone.push(attention(narrow(q, 2, begin, length), own(k), own(v), options));
      for (let i = 0; i < length && causal; i++) bounds.push(prefix + begin, prefix + begin + length);
      begin += length;
    }
  }
  const packed = { segments: i32([1, t, 2], bounds), prefix };
  const [causal, all, ...texts] = evaluate([
    attention(q, k, v, { ...packed, causal: true, window: 3 }),
    attention(q, k, v, packed),
    concat(alone.slice(0, 3), 2),
    concat(alone.slice(3), 2),
  ]);
  expect([...causal!]).toEqual([...texts[0]!]);
  expect([...all!]).toEqual([...texts[1]!]);
});

test('shapes that do not fit are refused with what is needed', () => {
  const q = zeros([1, 4, 3, 8]);
  const k = zeros([1, 3, 3, 8]);
  expect(() => attention(q, k, k)).toThrow('4 query heads are no multiple of 3 key heads');
  expect(() => attention(q, zeros([1, 2, 3, 6]), zeros([1, 2, 3, 6]))).toThrow(ShapeError);
  expect(() => attention(q, q, zeros([1, 4, 5, 8]))).toThrow('of one b and d');
  expect(() => attention(q, q, q, { bias: zeros([1, 1, 3, 3]) })).toThrow('bias [1 or b, h, tq, tk]');
  expect(() => attention(q, q, q, { softcap: -1 })).toThrow('a soft cap (-1)');
  expect(() => attention(q, q, q, { window: 4 })).toThrow('needs causal: true');
  expect(() => attention(q, q, q, { offset: zeros([], 'f32') })).toThrow('i32 offset');
  expect(() => attention(q, q, q, { keyMask: zeros([1, 4], 'i32') })).toThrow('keyMask [b, tk]');
  expect(() => attention(q, q, q, { segments: zeros([1, 3], 'i32') })).toThrow('segments [b, tq, 2]');
  expect(() => attention(q, q, q, { segments: zeros([1, 3, 2]) })).toThrow('i32 segments');
  expect(() => attention(q, q, q, { prefix: 1 })).toThrow('needs segments');
  expect(() => attention(q, q, q, { prefix: 4, segments: zeros([1, 3, 2], 'i32') })).toThrow('prefix (4)');
});

test('dropout is of the weights after the softmax', () => {
  const [q, k, v] = [values([2, 2, 5, 4], 1), values([2, 2, 5, 4], 2), values([2, 2, 5, 4], 3)];
  const seed = new Variable([2], Uint32Array.of(3, 8));
  const weights = softmax(mul(matmul(q, transpose(k)), 0.5));
  const [got, right, without] = evaluate([
    attention(q, k, v, { dropout: { p: 0.4, seed, stream: 6 } }),
    matmul(dropout(weights, { p: 0.4 }, seed, 6), v),
    attention(q, k, v, { dropout: { p: 0, seed, stream: 6 } }),
  ]);
  right!.forEach((r, i) => {
    expect(got![i]).toBeCloseTo(r, 12);
  });
  expect(without).toEqual(evaluate([attention(q, k, v)])[0]);
  expect(without).not.toEqual(got);
  expect(() => attention(q, k, v, { dropout: { p: 1.5, seed, stream: 0 } })).toThrow(DropoutError);
});
