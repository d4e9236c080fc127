import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { NumpyRandom } from './numpy-random.ts';

type Draws = Readonly<Record<string, readonly number[]>> & { readonly seed: number };

/** Drawn with numpy by tools/oracle/numpy_random.py. */
const fixture = new URL('../../../../tools/oracle/fixtures/numpy-random.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as Draws[];

const shuffled = (random: NumpyRandom, length: number): Int32Array => {
  const values = Int32Array.from({ length }, (_, i) => i);
  random.shuffle(values);
  return values;
};

const draws: Readonly<Record<string, (random: NumpyRandom) => Iterable<number>>> = {
  bits: (random) => Array.from({ length: 9 }, () => random.bits()),
  'up to a number': (random) => Array.from({ length: 9 }, () => random.upTo(3_000_000_000)),
  shuffle: (random) => shuffled(random, 100),
  'few of few': (random) => random.choice(256, 20),
  'all but one of few': (random) => random.choice(30, 29),
  'few of many': (random) => random.choice(20_000, 30),
  'many of many': (random) => random.choice(12_000, 11_000).slice(0, 30),
  'a choice, then a shuffle': (random) => [random.choice(10, 3), shuffled(random, 20)][1]!,
};

describe.each(cases)('seed $seed', (expected) => {
  test.each(Object.keys(draws))('%s, as numpy', (name) => {
    expect([...draws[name]!(new NumpyRandom(expected.seed))]).toEqual(expected[name]);
  });
});
