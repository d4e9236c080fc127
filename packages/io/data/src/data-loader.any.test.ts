import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collate } from './collate.ts';
import { DataLoader, type DataLoaderOptions } from './data-loader.ts';
import { DataError } from './errors.ts';
import { type Example, ignoreLabel } from './example.ts';
import { permutation } from './permutation.ts';
import { splitHeldOut } from './split-held-out.ts';

/** Example `i` is `i + 2` tokens of value `i`, of which the last two are learnt. */
const examplesOf = (count: number): Example[] =>
  Array.from({ length: count }, (_, i) => {
    const ids = new Int32Array((i % 7) + 2).fill(i);
    return { ids, labels: ids.map((id, at) => (at < ids.length - 2 ? ignoreLabel : id)) };
  });
const options = fc.record({
  batchSize: fc.integer({ min: 1, max: 9 }),
  seed: fc.maxSafeInteger(),
  shuffle: fc.boolean(),
  dropLast: fc.boolean(),
});
const take = (loader: DataLoader, count: number) => Array.from({ length: count }, () => loader.next());

describe('permutation', () => {
  it('holds every index once', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.maxSafeInteger(), fc.nat(), (size, seed, stream) => {
        const order = permutation(size, seed, stream);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, i) => i));
        expect(permutation(size, seed, stream)).toEqual(order);
      }),
    );
  });

  it('never changes, or saved runs would resume with another order', () => {
    expect([...permutation(10, 0)]).toMatchInlineSnapshot(`
      [
        4,
        5,
        9,
        1,
        6,
        3,
        8,
        2,
        0,
        7,
      ]
    `);
    expect([...permutation(10, 42, 3)]).toMatchInlineSnapshot(`
      [
        9,
        5,
        7,
        1,
        3,
        2,
        0,
        8,
        6,
        4,
      ]
    `);
  });

  it('is uniform: each of 24 orders about equally often', () => {
    const runs = 24_000;
    const counts = new Map<string, number>();
    for (let seed = 0; seed < runs; seed++) {
      const order = permutation(4, seed, 1).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    const expected = runs / 24;
    const chiSquared = [...counts.values()].reduce(
      (sum, count) => sum + (count - expected) ** 2 / expected,
      0,
    );
    expect(counts.size).toBe(24);
    // 23 degrees of freedom: above 49.7 once in a thousand.
    expect(chiSquared).toBeLessThan(49.7);
  });
});

describe('DataLoader', () => {
  it('gives every example once an epoch', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), options, (count, chosen) => {
        fc.pre(!chosen.dropLast || count >= chosen.batchSize);
        const loader = new DataLoader(examplesOf(count), { ...chosen, epochs: 2 });
        const batches = [...loader];
        expect(batches).toHaveLength(2 * loader.batchesPerEpoch);
        for (const epoch of [0, 1]) {
          const own = batches.slice(epoch * loader.batchesPerEpoch, (epoch + 1) * loader.batchesPerEpoch);
          const seen = own.flatMap((batch) =>
            Array.from({ length: batch.batchSize }, (_, row) => batch.inputIds[row * batch.length]!),
          );
          expect(new Set(seen).size).toBe(seen.length);
          expect(seen).toHaveLength(chosen.dropLast ? count - (count % chosen.batchSize) : count);
        }
      }),
    );
  });

  it('continues with the same batches from a cursor that went through JSON', () => {
    fc.assert(
      fc.property(fc.integer({ min: 9, max: 40 }), options, fc.nat(30), (count, chosen, steps) => {
        const examples = examplesOf(count);
        const whole = new DataLoader(examples, chosen);
        take(whole, steps);
        const saved = JSON.stringify(whole.cursor);
        const resumed = new DataLoader(examples, { ...chosen, seed: 1 });
        resumed.restore(JSON.parse(saved));
        expect(take(resumed, 12)).toEqual(take(whole, 12));
        expect(resumed.cursor).toEqual(whole.cursor);
      }),
    );
  });

  it('shuffles each epoch anew, and by seed', () => {
    const order = (seed: number, epoch: number) => permutation(50, seed, epoch).join();
    expect(new Set([order(0, 0), order(0, 1), order(1, 0), order(1, 1)]).size).toBe(4);
    const first = [...new DataLoader(examplesOf(5), { batchSize: 1, shuffle: false, epochs: 1 })];
    expect(first.map((batch) => batch.inputIds[0])).toEqual([0, 1, 2, 3, 4]);
  });

  it('makes a smaller batch of fewer rows than the batch size', () => {
    const [batch] = [...new DataLoader(examplesOf(2), { batchSize: 8, epochs: 1 })];
    expect(batch!.batchSize).toBe(2);
  });

  it.each([
    [0, { batchSize: 1 }, DataError, /empty/],
    [2, { batchSize: 3, dropLast: true }, DataError, /do not fill one batch/],
    [2, { batchSize: 0 }, RangeError, /batchSize is 0/],
    [2, { batchSize: 1.5 }, RangeError, /batchSize/],
    [2, { batchSize: 1, seed: Number.NaN }, RangeError, /seed/],
    [2, { batchSize: 1, epochs: -1 }, RangeError, /epochs/],
  ] as [number, DataLoaderOptions, new () => Error, RegExp][])(
    'refuses %i examples with %j',
    (count, bad, type, message) => {
      expect(() => new DataLoader(examplesOf(count), bad)).toThrow(type);
      expect(() => new DataLoader(examplesOf(count), bad)).toThrow(message);
    },
  );

  it('refuses a cursor of other data or without sense', () => {
    const loader = new DataLoader(examplesOf(4), { batchSize: 2 });
    expect(() => loader.restore({ epoch: 0, index: 0, seed: 0, size: 5 })).toThrow(
      /had 5 examples.*now has 4/,
    );
    expect(() => loader.restore({ epoch: 0, index: 4, seed: 0, size: 4 })).toThrow(/malformed/);
    expect(() => loader.restore({ epoch: -1, index: 0, seed: 0, size: 4 })).toThrow(/malformed/);
  });
});

describe('collate', () => {
  it('pads on the right and counts what is learnt after the shift', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 16 }), (count, multiple) => {
        const examples = examplesOf(count);
        const batch = collate(examples, { padId: 99, padToMultipleOf: multiple });
        expect(batch.length % multiple).toBe(0);
        let learnt = 0;
        for (const [row, { ids, labels }] of examples.entries()) {
          for (let i = 0; i < batch.length; i++) {
            const at = row * batch.length + i;
            const inside = i < ids.length;
            expect(batch.inputIds[at]).toBe(inside ? ids[i] : 99);
            expect(batch.labels[at]).toBe(inside ? labels[i] : ignoreLabel);
            expect(batch.attentionMask[at]).toBe(inside ? 1 : 0);
            if (i > 0 && batch.labels[at] !== ignoreLabel) learnt++;
          }
        }
        expect(batch.supervisedTokens).toBe(learnt);
        expect(batch.tokens).toBe(examples.reduce((sum, { ids }) => sum + ids.length, 0));
      }),
    );
  });

  it('never masks by id: a token that equals the padding stays', () => {
    const ids = Int32Array.of(5, 1, 1);
    const batch = collate([{ ids, labels: ids }], { padId: 1, padToMultipleOf: 4 });
    expect([...batch.attentionMask]).toEqual([1, 1, 1, 0]);
    expect([...batch.labels]).toEqual([5, 1, 1, ignoreLabel]);
  });

  it('takes the smallest bucket that fits, and never more than maxLength', () => {
    const ids = new Int32Array(10);
    const lengthOf = (more: object) => collate([{ ids, labels: ids }], more).length;
    expect(lengthOf({ buckets: [32, 8, 16] })).toBe(16);
    expect(lengthOf({ buckets: [8], padToMultipleOf: 4 })).toBe(12);
    expect(lengthOf({ padToMultipleOf: 64, maxLength: 20 })).toBe(20);
    expect(() => lengthOf({ maxLength: 9 })).toThrow(DataError);
    expect(() => collate([])).toThrow(RangeError);
  });

  it('counts first labels where they are learnt', () => {
    const row = { ids: Int32Array.of(1, 2, 3), labels: Int32Array.of(1, -100, 3) };
    expect(collate([row, row]).supervisedTokens).toBe(2);
    expect(collate([row, row], { learnsFirst: true }).supervisedTokens).toBe(4);
  });
});

describe('splitHeldOut', () => {
  it('parts the items, the same way for the same seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        fc.integer(),
        (count, fraction, seed) => {
          const items = Array.from({ length: count }, (_, i) => i);
          const { train, heldOut } = splitHeldOut(items, fraction, seed);
          expect([...train, ...heldOut].sort((a, b) => a - b)).toEqual(items);
          expect(train.length).toBeGreaterThan(0);
          expect(heldOut.length).toBeGreaterThan(0);
          expect(Math.abs(heldOut.length - count * fraction)).toBeLessThanOrEqual(1);
          expect(splitHeldOut(items, fraction, seed)).toEqual({ train, heldOut });
        },
      ),
    );
  });

  it('refuses too few items and fractions outside [0, 1)', () => {
    expect(splitHeldOut([1], 0)).toEqual({ train: [1], heldOut: [] });
    expect(() => splitHeldOut([1], 0.5)).toThrow(DataError);
    for (const fraction of [1, -0.1, Number.NaN])
      expect(() => splitHeldOut([1, 2], fraction)).toThrow(RangeError);
  });
});
