import { fill } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { KvCache } from './index.ts';

const rows = (count: number) => fill(0, [1, 2, count, 4]);

test('layers that add different numbers of keys are refused', () => {
  const heads = { kvHeads: 2, headDim: 4 };
  const cache = new KvCache({ layers: [heads, heads], batchSize: 1, capacity: 8 });
  cache.extend(0, rows(3), rows(3));
  expect(() => cache.extend(1, rows(4), rows(4))).toThrow('layer 1 has 4 new keys');
  expect(cache.takeUpdates().length).toBe(2);
  cache.extend(0, rows(1), rows(1));
  cache.extend(1, rows(1), rows(1));
  expect(cache.rows).toBe(1);
  expect(cache.takeUpdates().length).toBe(4);
  expect(cache.takeUpdates()).toEqual([]);
});

test('a cache beside another is part of it', () => {
  const cache = new KvCache({ layers: [{ kvHeads: 2, headDim: 4 }], batchSize: 1, capacity: 8 });
  const beside = cache.beside();
  expect(cache.beside()).toBe(beside);
  expect(beside.position).toBe(cache.position);
  beside.extend(0, rows(2), rows(2));
  cache.extend(0, rows(2), rows(2));
  const updates = cache.takeUpdates();
  expect(updates.length).toBe(4);
  expect(cache.takeUpdates()).toEqual([]);
  expect(new Set(cache.variables)).toEqual(
    new Set([cache.position, ...updates.map(([variable]) => variable)]),
  );
});
