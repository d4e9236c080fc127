import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TorchRandom } from './torch-random.ts';

type Draws = Readonly<Record<string, readonly number[]>> & { readonly seed: number };

/** Drawn with torch by tools/oracle/torch_random.py. */
const fixture = new URL('../../../../tools/oracle/fixtures/torch-random.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as Draws[];

const draws: Readonly<Record<string, (random: TorchRandom) => Iterable<number>>> = {
  rand: (random) => random.rand(9),
  uniform: (random) => random.uniform(9, -0.3, 0.7),
  'few normal': (random) => random.randn(7),
  'after an odd number': (random) => [random.randn(3), random.randn(4)][1]!,
  'many normal': (random) => random.randn(700),
  'few with a deviation': (random) => random.randn(5, 3 ** -0.5),
  'many with a deviation': (random) => random.randn(20, 3 ** -0.5),
  randperm: (random) => random.randperm(1000),
  'first of randperm': (random) => random.randperm(300_000, 20),
  randint: (random) => random.randint(-5, 900, 12),
  'wide randint': (random) => random.randint(0, 2 ** 40, 6),
  'bits after a while': (random) => [random.rand(2000), random.rand(4)][1]!,
};

describe.each(cases)('seed $seed', (expected) => {
  test.each(Object.keys(draws))('%s, as torch', (name) => {
    expect([...draws[name]!(new TorchRandom(expected.seed))]).toEqual(expected[name]);
  });
});

test('a permutation is the same however much of it is drawn, and a permutation', () => {
  const whole = new TorchRandom(3).randperm(50);
  expect(new TorchRandom(3).randperm(50, 8)).toEqual(whole.slice(0, 8));
  expect(whole.slice().sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
});
