import { describe, expect, test } from 'vitest';
import { compare, distance, peerColumns, type Task } from './compare.ts';
import type { Peer } from './peer.ts';

const task: Task = {
  name: 'double',
  kind: 'double',
  input: {},
  tolerance: 1e-3,
  run: async (times) => times * 100,
  values: async () => [2, 4, 6],
};

const peer = (name: string, values: readonly number[], milliseconds: number): Peer =>
  ({
    name,
    prepare: async () => ({
      name,
      run: async (times: number) => times * milliseconds,
      values: async () => values,
      release: async () => {},
    }),
  }) as unknown as Peer;

describe('the distance of two lists', () => {
  test('is a fraction of the largest', () => {
    expect(distance([1, -10], [2, -10])).toBe(0.1);
  });
  test('is never small where a value is NaN or a list is shorter', () => {
    expect(distance([1, 2, 3], [1, Number.NaN, 3])).toBeNaN();
    expect(distance([1, 2], [1])).toBe(Number.POSITIVE_INFINITY);
  });
});

test('a library whose results differ has no time, and does not count', async () => {
  const peers = [peer('right', [2, 4, 6.001], 300), peer('wrong', [2, 4, 7], 1)];
  const comparison = await compare(task, peers, 3);
  expect(comparison.ratio).toBe(3);
  expect(peerColumns(comparison, ({ median }) => median)).toEqual({
    right: 300,
    wrong: 'its results differ by 1.7e-1',
    ratio: 3,
  });
});

test('a library that cannot do it says why', async () => {
  const unable = {
    name: 'unable',
    prepare: async () => {
      throw new Error("has no task 'double'");
    },
  } as unknown as Peer;
  const comparison = await compare(task, [unable], 1);
  expect(comparison.ratio).toBeUndefined();
  expect(peerColumns(comparison, ({ median }) => median)).toEqual({ unable: "has no task 'double'" });
});
