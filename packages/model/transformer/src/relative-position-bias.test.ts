import { readFileSync } from 'node:fs';
import { Runtime } from '@graftjs/compiler';
import { Context, Embedding, HostRandom, normalArray } from '@graftjs/nn';
import { gradients, mul, sum, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RelativeBuckets, RelativePositions, relativeBucket } from './index.ts';

interface Rule extends RelativeBuckets {
  readonly reach: number;
  readonly found: readonly number[];
}

const fixture = new URL('../../../../tools/oracle/fixtures/relative-buckets.json', import.meta.url);
const rules: readonly Rule[] = JSON.parse(readFileSync(fixture, 'utf8'));

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

test.each(rules)(
  '$buckets buckets up to $maxDistance, bidirectional $bidirectional: those of transformers',
  (rule) => {
    const { reach, found } = rule;
    expect(found.map((_, i) => relativeBucket(i - reach, rule))).toEqual(found);
  },
);

describe.each([true, false])('biases of a pass, bidirectional %s', (bidirectional) => {
  const rule = { buckets: 8, maxDistance: 10, bidirectional };
  const heads = 3;
  const table = new Embedding(rule.buckets, heads);
  const rows = normalArray(rule.buckets * heads, 1, new HostRandom(1));
  table.weight.set(rows.slice());

  test.each([
    [4, 4, undefined],
    [5, 9, undefined],
    [1, 30, 0],
    [1, 30, 17],
    [3, 30, 12],
    [1, 1, undefined],
  ])('of %i queries and %i keys, from position %s on', async (queries, keys, given) => {
    const offset = given === undefined ? undefined : new Variable([], Int32Array.of(given));
    const bias = new RelativePositions(rule).bias(table, new Context())(queries, keys, offset);
    expect(bias.shape).toEqual([1, heads, queries, keys]);
    const slopes = normalArray(bias.size, 1, new HostRandom(2));
    const loss = sum(mul(bias, new Variable(bias.shape, slopes.slice())));
    const [got, gradient] = await runtime.evaluate([bias, ...gradients(loss, [table.weight])]);
    const first = given ?? keys - queries;
    const expected = new Float64Array(rows.length);
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < queries; i++)
        for (let j = 0; j < keys; j++) {
          const at = relativeBucket(j - (first + i), rule) * heads + h;
          const k = (h * queries + i) * keys + j;
          expect(got![k]).toBe(rows[at]);
          expected[at]! += slopes[k]!;
        }
    expect(gradient!.length).toBe(expected.length);
    for (const [i, value] of expected.entries()) expect(gradient![i]).toBeCloseTo(value, 4);
  });
});
