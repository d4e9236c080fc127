import { expect, test } from 'vitest';
import { type LogitsError, Sampler } from './index.ts';

const logits = [1.5, -0.25, 3.0, 0.5, 2.75, -4.0, 2.0, 0.0, 3.5, -1.0, 1.0, 2.5];
const inf = Number.POSITIVE_INFINITY;

function shares(options: ConstructorParameters<typeof Sampler>[0], n: number, of = logits): number[] {
  const sampler = new Sampler(options);
  const counts = of.map(() => 0);
  for (let i = 0; i < n; i++) counts[sampler.next(of)]!++;
  return counts.map((count) => count / n);
}

// Probabilities after the warpers of transformers 5.23.0: temperature, top k, top p.
test.each<[number, number, number, Record<number, number>]>([
  [
    1,
    inf,
    1,
    {
      0: 0.045074,
      1: 0.007833,
      2: 0.202009,
      3: 0.016582,
      4: 0.157325,
      5: 0.000184,
      6: 0.074315,
      7: 0.010057,
      8: 0.333057,
      9: 0.0037,
      10: 0.027339,
      11: 0.122525,
    },
  ],
  [0.7, 3, 1, { 2: 0.267208, 4: 0.186958, 8: 0.545834 }],
  [1, inf, 0.6, { 2: 0.291756, 4: 0.22722, 8: 0.481024 }],
  [
    1.5,
    inf,
    0.9,
    { 0: 0.072083, 2: 0.195943, 4: 0.165862, 6: 0.100601, 8: 0.273461, 10: 0.05165, 11: 0.140399 },
  ],
  [0.5, 5, 0.8, { 2: 0.231224, 4: 0.140244, 8: 0.628532 }],
  [2, 6, 0.75, { 2: 0.253465, 4: 0.223682, 8: 0.325455, 11: 0.197398 }],
  [1, inf, 0.05, { 8: 1 }],
  [1, 1, 1, { 8: 1 }],
])(
  'temperature %d, topK %d, topP %d: tokens come as often as transformers would draw them',
  (temperature, topK, topP, expected) => {
    const n = 20_000;
    const got = shares({ temperature, topK, topP, seed: 11 }, n);
    for (const [i, share] of got.entries()) {
      const p = expected[i] ?? 0;
      // Five standard errors; exactly 0 for what is kept out.
      expect(Math.abs(share - p), `token ${i}`).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / n));
    }
  },
);

test('the same seed chooses the same, another one otherwise', () => {
  const draw = (seed: number): number[] => {
    const sampler = new Sampler({ temperature: 1, seed });
    return Array.from({ length: 50 }, () => sampler.next(logits));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test('of equal logits, the first are kept', () => {
  expect(shares({ temperature: 1, topK: 2 }, 200, [1, 3, 3, 3]).map((s) => s > 0)).toEqual([
    false,
    true,
    true,
    false,
  ]);
  expect(new Sampler().next([1, 3, 3])).toBe(1);
});

test('minus infinity bars a token; a temperature near 0 is greedy', () => {
  expect(shares({ temperature: 5 }, 200, [-inf, 0, 0])[0]).toBe(0);
  expect(shares({ temperature: 5, topK: 3 }, 200, [-inf, 0, 0])[0]).toBe(0);
  expect(shares({ temperature: 1e-300 }, 50)[8]).toBe(1);
});

test.each([
  [[1, Number.NaN, 2], 1],
  [[1, 2, inf], 2],
  [[-inf, -inf], 0],
])('logits %j are refused', (bad, tokenId) => {
  for (const temperature of [0, 1])
    expect(() => new Sampler({ temperature }).next(bad)).toThrow(
      expect.objectContaining({ name: 'LogitsError', tokenId }) as LogitsError,
    );
});

test.each([
  { temperature: -1 },
  { temperature: inf },
  { temperature: Number.NaN },
  { topK: 0 },
  { topK: 1.5 },
  { topP: 0 },
  { topP: 1.1 },
])('%j is out of range', (options) => {
  expect(() => new Sampler(options)).toThrow(Object.keys(options)[0]!);
});
