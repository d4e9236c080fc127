import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Batch, collate } from './collate.ts';
import { DataLoader } from './data-loader.ts';
import { DataError } from './errors.ts';
import { type Example, ignoreLabel, supervisedTokens } from './example.ts';
import { pack } from './pack.ts';

const length = 24;
/** Example `i` has tokens of value `i + 1`; its first half is not learnt where it is even. */
const exampleOf = (size: number, i: number): Example => {
  const ids = new Int32Array(size).fill(i + 1);
  return { ids, labels: ids.map((id, at) => (i % 2 === 0 && at < size / 2 ? ignoreLabel : id)) };
};
const examples = fc
  .array(fc.integer({ min: 2, max: length }), { minLength: 1, maxLength: 60 })
  .map((sizes) => sizes.map(exampleOf));
const options = fc.record({
  batchSize: fc.integer({ min: 1, max: 5 }),
  seed: fc.maxSafeInteger(),
  shuffle: fc.boolean(),
  dropLast: fc.boolean(),
  packing: fc.record({ window: fc.integer({ min: 1, max: 40 }) }),
  maxLength: fc.constant(length),
});
const orderOf = (size: number): Uint32Array => Uint32Array.from({ length: size }, (_, i) => i);

/** Rows of a batch, each cut into its segments: [begin, end, ids, labels]. */
const segmentsOf = (batch: Batch): { begin: number; end: number; ids: number[]; labels: number[] }[] => {
  const found = [];
  for (let row = 0; row < batch.batchSize; row++) {
    const at = row * batch.length;
    let i = 0;
    while (i < batch.length && batch.attentionMask[at + i] === 1) {
      const [begin, end] = [batch.segments![2 * (at + i)]!, batch.segments![2 * (at + i) + 1]!];
      expect(begin).toBe(i);
      expect(end).toBeGreaterThan(i);
      for (; i < end; i++)
        expect([...batch.segments!.subarray(2 * (at + i), 2 * (at + i) + 2)]).toEqual([begin, end]);
      found.push({
        begin,
        end,
        ids: [...batch.inputIds.subarray(at + begin, at + end)],
        labels: [...batch.labels.subarray(at + begin, at + end)],
      });
    }
    const rest = batch.segments!.subarray(2 * (at + i), 2 * (at + batch.length));
    expect(rest.every((bound) => bound === i)).toBe(true);
  }
  return found;
};

describe('pack', () => {
  it('puts every example into one block that has room, and no two blocks of a window fit into one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: length }), { maxLength: 80 }), (sizes) => {
        const blocks = pack(sizes, orderOf(sizes.length), { length });
        expect(blocks.flat().sort((a, b) => a - b)).toEqual([...sizes.keys()]);
        const filled = blocks.map((block) => block.reduce((sum, i) => sum + sizes[i]!, 0));
        expect(Math.max(0, ...filled)).toBeLessThanOrEqual(length);
        const least = [...filled].sort((a, b) => a - b);
        if (least.length > 1) expect(least[0]! + least[1]!).toBeGreaterThan(length);
      }),
    );
  });

  it('never uses more blocks than 11/9 of the fewest possible, and one', () => {
    // Blocks that were full to the last token before they were cut up: as many blocks would do again.
    const cuts = fc.array(fc.uniqueArray(fc.integer({ min: 1, max: length - 1 }), { maxLength: 5 }), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(cuts, (whole) => {
        const sizes = whole.flatMap((at) => {
          const ends = [0, ...at.sort((a, b) => a - b), length];
          return ends.slice(1).map((end, i) => end - ends[i]!);
        });
        const blocks = pack(sizes, orderOf(sizes.length), { length });
        expect(blocks.length).toBeLessThanOrEqual((11 / 9) * whole.length + 1);
      }),
    );
  });

  it('keeps to its windows', () => {
    const blocks = pack([20, 20, 4, 4, 20, 4], Uint32Array.of(0, 2, 4, 1, 3, 5), { length, window: 3 });
    expect(blocks).toEqual([[0], [4, 2], [1, 3], [5]]);
    expect(pack([20, 20, 4, 4, 20, 4], Uint32Array.of(0, 2, 4, 1, 3, 5), { length })).toEqual([
      [0, 5],
      [4, 3],
      [1, 2],
    ]);
  });

  it('refuses what is longer than a block, and blocks and windows without sense', () => {
    expect(() => pack([length + 1], orderOf(1), { length })).toThrow(DataError);
    expect(() => pack([1], orderOf(1), { length, window: 0 })).toThrow(RangeError);
    expect(() => pack([1], orderOf(1), { length: 0 })).toThrow(RangeError);
  });
});

describe('packed batches', () => {
  it('hold every example whole, once an epoch, and learn no first token', () => {
    fc.assert(
      fc.property(examples, options, (all, chosen) => {
        const loader = new DataLoader(all, { ...chosen, dropLast: false, epochs: 1 });
        const batches = [...loader];
        expect(batches).toHaveLength(loader.batchesPerEpoch);
        const segments = batches.flatMap(segmentsOf);
        expect(segments).toHaveLength(all.length);
        for (const { begin, ids, labels } of segments) {
          const own = all[ids[0]! - 1]!;
          expect(ids).toEqual([...own.ids]);
          expect(labels).toEqual(begin === 0 ? [...own.labels] : [ignoreLabel, ...own.labels.subarray(1)]);
        }
        expect(new Set(segments.map(({ ids }) => ids[0])).size).toBe(all.length);
        const sum = (of: (batch: Batch) => number): number => batches.reduce((n, b) => n + of(b), 0);
        expect(sum((b) => b.tokens)).toBe(all.reduce((n, { ids }) => n + ids.length, 0));
        expect(sum((b) => b.supervisedTokens)).toBe(
          all.reduce((n, { labels }) => n + supervisedTokens(labels), 0),
        );
        // What the loss sees: labels that follow something.
        const learnt = (b: Batch): number =>
          b.labels.filter((label, i) => i % b.length > 0 && label !== ignoreLabel).length;
        expect(sum(learnt)).toBe(sum((b) => b.supervisedTokens));
      }),
    );
  });

  it('come again from a cursor that went through JSON', () => {
    fc.assert(
      fc.property(examples, options, fc.nat(30), (all, chosen, steps) => {
        const dropLast = chosen.dropLast && all.length >= 4 * chosen.batchSize;
        const make = (seed: number) => {
          try {
            return new DataLoader(all, { ...chosen, dropLast, seed });
          } catch (error) {
            // Fewer blocks than a batch.
            expect(dropLast && error instanceof DataError).toBe(true);
            return undefined;
          }
        };
        const whole = make(chosen.seed);
        const resumed = make(1);
        if (!whole || !resumed) return;
        const take = (loader: DataLoader, count: number) =>
          Array.from({ length: count }, () => loader.next());
        take(whole, steps);
        resumed.restore(JSON.parse(JSON.stringify(whole.cursor)));
        expect(resumed.progress).toBe(whole.progress);
        expect(take(resumed, 12)).toEqual(take(whole, 12));
        expect(resumed.cursor).toEqual(whole.cursor);
      }),
    );
  });

  it('put other examples together in each epoch, and tell how full they are', () => {
    const all = Array.from({ length: 40 }, (_, i) => exampleOf(2 + (i % 11), i));
    const loader = new DataLoader(all, {
      batchSize: 100,
      maxLength: length,
      packing: { window: 8 },
      epochs: 2,
    });
    const [first, second] = [...loader].map((batch) => [...batch.inputIds].join());
    expect(first).not.toBe(second);
    const tokens = all.reduce((sum, { ids }) => sum + ids.length, 0);
    const { blocks, fill } = loader.packing!;
    expect(blocks).toBe(
      new DataLoader(all, { batchSize: 100, maxLength: length, packing: { window: 8 } }).next()!.batchSize,
    );
    expect(fill).toBe(tokens / (blocks * length));
  });

  it('need a length, and a cursor of the same packing', () => {
    const all = Array.from({ length: 9 }, (_, i) => exampleOf(5, i));
    expect(() => new DataLoader(all, { batchSize: 1, packing: true })).toThrow(RangeError);
    expect(() => new DataLoader(all, { batchSize: 1, packing: true, maxLength: 4 })).toThrow(DataError);
    const packed = new DataLoader(all, { batchSize: 1, packing: true, maxLength: length });
    const plain = new DataLoader(all, { batchSize: 1 });
    packed.next();
    expect(() => packed.restore(plain.cursor)).toThrow(/had no packed blocks/);
    expect(() => plain.restore(packed.cursor)).toThrow(/now there are none/);
    expect(packed.cursor.index).toBe(1);
  });

  it('may stand beside rows of one example', () => {
    const batch = collate([exampleOf(3, 0), [exampleOf(2, 1), exampleOf(2, 2)]], { padToMultipleOf: 5 });
    expect([...batch.segments!]).toEqual([
      ...[0, 3, 0, 3, 0, 3, 3, 3, 3, 3],
      ...[0, 2, 0, 2, 2, 4, 2, 4, 4, 4],
    ]);
  });
});
