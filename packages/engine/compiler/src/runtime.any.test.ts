import { evaluate } from '@graftjs/reference';
import * as t from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PlanningRuntime } from './planning-runtime.ts';
import { Runtime } from './runtime.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

let seed = 1;
const random = (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
};
/** Values of the variables, for the reference: a runtime takes over the host's copy. */
const feeds = new Map<t.Variable, ArrayLike<number>>();
const fed = (shape: readonly number[], data: t.HostArray): t.Variable => {
  const variable = new t.Variable(shape, data);
  feeds.set(variable, data.slice());
  return variable;
};
const noise = (shape: readonly number[], scale = 1): t.Variable =>
  fed(
    shape,
    Float32Array.from({ length: t.sizeOf(shape) }, () => random() * scale),
  );
const positive = (shape: readonly number[]): t.Variable =>
  fed(
    shape,
    Float32Array.from({ length: t.sizeOf(shape) }, () => Math.abs(random()) + 0.1),
  );
const ids = (values: readonly number[], shape: readonly number[]): t.Tensor =>
  fed(shape, Int32Array.from(values));

/** Device values against float64, relative to the largest entry. */
async function check(tensors: readonly t.Tensor[], bound = 2e-6): Promise<void> {
  const expected = evaluate(tensors, feeds);
  const got = await runtime.evaluate(tensors);
  tensors.forEach((_, k) => {
    const scale = Math.max(1e-30, ...expected[k]!.map(Math.abs));
    const worst = expected[k]!.reduce(
      (w, v, i) =>
        Math.max(w, Number.isNaN(got[k]![i]!) ? Number.POSITIVE_INFINITY : Math.abs(v - got[k]![i]!)),
      0,
    );
    expect(got[k]!.length).toBe(expected[k]!.length);
    expect(worst / scale, `tensor ${k} of shape [${tensors[k]!.shape}]`).toBeLessThan(bound);
  });
}

describe('element-wise', () => {
  test('every unary primitive', async () => {
    const x = positive([3, 8]);
    const y = noise([5, 7], 3);
    await check(
      [
        t.exp(y),
        t.log(x),
        t.sqrt(x),
        t.rsqrt(x),
        t.reciprocal(x),
        t.sin(y),
        t.cos(y),
        t.abs(y),
        t.floor(y),
        t.neg(y),
      ],
      4e-6,
    );
    await check(
      [
        t.tanh(y),
        t.tanh(t.mul(y, 30)),
        t.erf(y),
        t.erf(t.mul(y, 1e-3)),
        t.erf(t.mul(x, 1)),
        t.sigmoid(y),
        t.softplus(y),
      ],
      4e-6,
    );
  });
  test('every binary primitive', async () => {
    const a = positive([4, 6]);
    const b = positive([4, 6]);
    await check(
      [t.add(a, b), t.sub(a, b), t.mul(a, b), t.div(a, b), t.pow(a, b), t.maximum(a, b), t.minimum(a, b)],
      4e-6,
    );
    await check([
      t.less(a, b),
      t.equal(a, a),
      t.and(t.less(a, b), t.not(t.less(b, 0.5))),
      t.or(t.less(a, 0.3), t.less(b, 0.3)),
    ]);
    const i = ids([1, -2, 3, 40, 5, 6], [6]);
    const j = ids([3, 2, 1, 4, 2, 5], [6]);
    await check([
      t.add(i, j),
      t.mul(i, j),
      t.div(i, j),
      t.bitAnd(i, j),
      t.bitOr(i, j),
      t.bitXor(i, j),
      t.shiftLeft(i, j),
      t.shiftRight(i, j),
    ]);
    await check([
      t.where(t.less(a, b), a, 7),
      t.cast(t.mul(a, 10), 'i32'),
      t.cast(i, 'f32'),
      t.cast(t.less(a, b), 'f32'),
    ]);
  });
  test('broadcast, scalars and one element', async () => {
    await check([
      t.add(noise([4, 8]), noise([8])),
      t.add(noise([4, 8]), noise([4, 1])),
      t.mul(noise([]), 3),
      t.add(noise([1]), noise([7, 3, 1])),
    ]);
  });
});

describe('movement', () => {
  test('permute, reshape, slice, pad, concat, expand and their chains', async () => {
    const x = noise([4, 6, 8]);
    await check([
      t.mul(t.permute(x, [1, 0, 2]), 2),
      t.reshape(t.permute(x, [1, 0, 2]), [6, 32]),
      t.reshape(t.permute(x, [2, 1, 0]), [3, 64]),
      t.reshape(t.transpose(x), [7 - 3, 48]),
      t.slice(x, [1, 2, 3], [2, 3, 5]),
      t.slice(x, [1, 2, 4], [2, 3, 4]),
      t.pad(x, [0, 1, 0], [1, 0, 0]),
      t.pad(x, [0, 0, 3], [0, 0, 2]),
      t.reshape(t.pad(x, [0, 1, 0], [0, 1, 0]), [4, 64]),
      t.concat([x, t.mul(x, 2), t.slice(x, [0, 0, 0], [1, 6, 8])], 0),
      t.concat([x, noise([4, 6, 3])], 2),
      t.add(t.broadcastTo(t.reshape(noise([4]), [4, 1, 1]), [4, 6, 8]), x),
      t.reshape(t.add(t.iota([4, 6, 8], 1, 'f32'), x), [24, 8]),
      t.iota([3, 8], 1),
      t.iota([3, 7], -1),
    ]);
  });
  test('a reshape that falls on no digit border', async () => {
    await check(
      [
        t.reshape(t.permute(noise([4, 6]), [1, 0]), [8, 3]),
        t.exp(t.reshape(t.transpose(noise([5, 9])), [3, 15])),
      ],
      4e-6,
    );
  });
  test('more operands than the device binds', async () => {
    const parts = Array.from({ length: 20 }, (_, i) => noise([2, 4 + i]));
    await check([
      t.concat(parts, 1),
      parts.map((p) => t.slice(p, [0, 0], [2, 4])).reduce<t.Tensor>((a, b) => t.add(a, b), t.zeros([2, 4])),
    ]);
  });
});

describe('reductions', () => {
  test.each([
    [[4, 8], [1]],
    [[4, 8], [0]],
    [[3, 5, 7], [1]],
    [
      [3, 5, 8],
      [0, 2],
    ],
    [[2, 3000], [1]],
    [[3000, 3], [0]],
    [[10007], [0]],
    [[1, 1], [0]],
  ])('sum and max of %j over %j', async (shape, axes) => {
    const x = noise(shape);
    await check([t.sum(x, axes), t.max(x, axes), t.sum(t.mul(x, x), axes), t.mean(t.exp(x), axes)], 1e-5);
  });
  test('more elements than one loop may count', async () => {
    const x = noise([3, 300_001], 1e-3);
    await check([t.sum(x, [1]), t.max(x, [1])], 1e-5);
  });
  test('softmax by hand', async () => {
    const x = noise([6, 33], 4);
    const e = t.exp(t.sub(x, t.max(x, [1], { keepDims: true })));
    await check([t.div(e, t.sum(e, [1], { keepDims: true }))], 4e-6);
  });
});

describe('matrix products', () => {
  test.each([
    [1, 1, 1],
    [3, 5, 7],
    [8, 8, 8],
    [17, 64, 33],
    [64, 4, 65],
    [5, 300, 4],
  ])('%i x %i x %i, every transposition', async (m, k, n) => {
    await check(
      [
        t.matmul(noise([m, k]), noise([k, n])),
        t.matmul(t.transpose(noise([k, m])), noise([k, n])),
        t.matmul(noise([m, k]), t.transpose(noise([n, k]))),
        t.matmul(t.transpose(noise([k, m])), t.transpose(noise([n, k]))),
      ],
      1e-5,
    );
  });
  test('heads read in place, grouped keys, an operand with itself', async () => {
    const [b, heads, groups, tokens, d] = [2, 4, 2, 6, 8];
    const q = t.permute(t.reshape(noise([b, tokens, heads * d]), [b, tokens, heads, d]), [0, 2, 1, 3]);
    const k = t.permute(t.reshape(noise([b, tokens, groups * d]), [b, tokens, groups, d]), [0, 2, 1, 3]);
    const shared = t.reshape(
      t.broadcastTo(t.reshape(k, [b, groups, 1, tokens, d]), [b, groups, heads / groups, tokens, d]),
      [b, heads, tokens, d],
    );
    const x = noise([9, 5]);
    await check(
      [
        t.matmul(q, t.transpose(shared)),
        t.matmul(x, t.transpose(x)),
        t.matmul(t.slice(noise([8, 12]), [2, 4], [4, 8]), noise([8, 4])),
      ],
      1e-5,
    );
  });
  test('epilogues: bias, residual, scale, activation', async () => {
    const x = noise([10, 16]);
    const y = t.linear(x, noise([12, 16]), noise([12]));
    await check(
      [
        t.silu(y),
        t.add(noise([10, 12]), t.mul(t.linear(x, noise([12, 16])), 0.5)),
        t.erf(t.linear(x, noise([13, 16]))),
      ],
      1e-5,
    );
  });
});

describe('the order of results in memory', () => {
  /** y `[b t, n d]` -> `[b, n, t, d]`. */
  const split = (y: t.Tensor, b: number, n: number): t.Tensor =>
    t.permute(t.reshape(y, [b, y.shape[0]! / b, n, y.shape[1]! / n]), [0, 2, 1, 3]);
  const labels = async (outputs: readonly t.Tensor[]): Promise<string[]> => {
    const { steps } = (await runtime.compile({ outputs })).explain();
    return steps.map(({ label }) => label);
  };

  test.each([
    ['rows of whole vectors', 14, 20, 3, 8],
    ['one sequence', 9, 64, 5, 4],
    ['a long inner axis, in parts', 4, 512, 2, 4],
  ])('heads are split as a product is stored: %s', async (_, tokens, inner, heads, d) => {
    const [x, w] = [noise([2 * tokens, inner]), noise([heads * d, inner])];
    const [h, up] = [noise([2 * tokens, 8]), noise([heads * d, 8])];
    const plain = split(t.linear(x, w), 2, heads);
    const changed = split(
      t.add(t.add(t.linear(x, w), noise([heads * d])), t.mul(t.linear(h, up), 0.5)),
      1,
      heads,
    );
    await check([plain], 1e-5);
    await check([changed], 1e-5);
    const [last, ...before] = (await labels([plain])).reverse();
    expect(last).toContain('permute');
    expect(last).toContain('matmul');
    expect(before.some((label) => label.startsWith('map'))).toBe(false);
    expect((await labels([changed])).filter((label) => label.startsWith('map'))).toEqual([]);
  });

  test('other orders take a kernel of their own', async () => {
    const y = t.linear(noise([6, 12]), noise([9, 12]));
    const turned = [split(y, 2, 3), t.transpose(t.linear(noise([6, 12]), noise([8, 12])))];
    await check(turned, 1e-5);
    expect((await labels(turned)).filter((label) => label.startsWith('map'))).toHaveLength(2);
  });

  test('what several need of a product and more is stored in its stead', async () => {
    const [x, w, h, up] = [noise([6, 12]), noise([8, 12]), noise([6, 4]), noise([8, 4])];
    const y = t.add(t.linear(x, w), t.mul(t.linear(h, up), 0.5));
    const outputs = [t.silu(y), t.mul(t.exp(y), y), t.transpose(y)];
    await check(outputs, 1e-5);
    const products = (await labels(outputs)).filter((label) => label.startsWith('matmul'));
    expect(products).toHaveLength(2);
    expect(products[1]).toContain('+add');
  });

  test('products that read one value both ways share its copy', async () => {
    const heads = noise([2, 3, 5, 4]);
    const y = t.reshape(t.permute(t.mul(heads, 2), [0, 2, 1, 3]), [10, 12]);
    const outputs = [t.matmul(y, noise([12, 8])), t.matmul(t.transpose(y), noise([10, 8]))];
    await check(outputs, 1e-5);
    expect((await labels(outputs)).filter((label) => label.startsWith('map'))).toEqual(['map permute']);
  });
});

test('take and scatterAdd', async () => {
  const table = noise([11, 8]);
  const index = ids([3, 0, 3, 10, 3, 7], [2, 3]);
  await check([
    t.take(table, index),
    t.take(noise([5]), ids([4, 0], [2])),
    t.scatterAdd(noise([2, 3, 8]), index, 11),
    t.mul(t.take(table, index), 2),
  ]);
});

test("random bits are the reference's", async () => {
  const key = fed([2], Uint32Array.of(123, 4567));
  await check([t.uniform(key, 3, [5, 9]), t.cast(t.less(t.uniform(key, 7, [16, 8]), 0.5), 'f32')], 1e-9);
  const [bits] = await runtime.evaluate([t.randomBits(key, 1, [17])]);
  expect([...bits!]).toEqual([...evaluate([t.randomBits(key, 1, [17])], feeds)[0]!]);
});

test('a training step: gradients and updates in place over several steps', async () => {
  const w = noise([6, 8]);
  const x = noise([10, 8]);
  const y = noise([10, 6]);
  const rate = new t.Variable([], Float32Array.of(0), { name: 'learning rate' });
  const difference = t.sub(t.linear(x, w), y);
  const loss = t.mean(t.mul(difference, difference));
  const [g] = t.gradients(loss, [w]);
  const next = t.sub(w, t.mul(g!, rate));
  const program = await runtime.compile({ outputs: [loss], updates: [[w, next]] });
  for (let step = 0; step < 4; step++) {
    rate.set(Float32Array.of(0.1 / (step + 1)));
    feeds.set(rate, Float64Array.of(Math.fround(0.1 / (step + 1))));
    const [expectedLoss, expectedNext] = evaluate([loss, next], feeds);
    const [got] = await program.run();
    expect(Math.abs(got![0]! - expectedLoss![0]!)).toBeLessThan(1e-5 * Math.abs(expectedLoss![0]!));
    feeds.set(w, expectedNext!);
  }
  const final = await runtime.read(w);
  Array.from(feeds.get(w)!).forEach((v, i) => {
    expect(Math.abs(final[i]! - v)).toBeLessThan(1e-5);
  });
  expect(program.explain().copies).toBe(0);
});

test('a program is planned without a device as with one', async () => {
  const w = noise([12, 8]);
  const grads = t.gradients(t.sum(t.tanh(t.matmul(noise([5, 12]), w))), [w]);
  const request = { outputs: [t.sum(grads[0]!)], updates: [[w, t.sub(w, grads[0]!)] as const] };
  const planning = new PlanningRuntime(runtime.traits);
  const planned = await planning.compile(request);
  const program = await runtime.compile(request);
  expect(planned.explain()).toEqual(program.explain());
  expect(planned.variables).toEqual(program.variables);
  expect(planned.explain().dispatches).toBeGreaterThan(1);
  expect(await planned.run()).toEqual([new Float32Array(1)]);
  expect(await planning.read(w)).toEqual(new Float32Array(96));
  expect((await planning.materialize(grads[0]!)).shape).toEqual([12, 8]);
});

test('two variables exchange their values', async () => {
  const a = noise([8]);
  const b = noise([8]);
  const [va, vb] = [feeds.get(a)!, feeds.get(b)!];
  const program = await runtime.compile({
    updates: [
      [a, t.mul(b, 1)],
      [b, a],
    ],
  });
  await program.run();
  expect([...(await runtime.read(a))]).toEqual(Array.from(vb));
  expect([...(await runtime.read(b))]).toEqual(Array.from(va));
});

test('the same graph over other variables compiles nothing, and a step allocates nothing', async () => {
  const build = (v: t.Variable): t.Tensor => t.exp(t.linear(v, v));
  await runtime.evaluate([build(noise([12, 12]))]);
  const before = gpu.stats();
  const program = await runtime.compile({ outputs: [build(noise([12, 12]))] });
  expect(gpu.stats().pipelines).toBe(before.pipelines);
  await program.run();
  const created = gpu.stats().buffersCreated;
  const { submissions } = gpu.stats();
  for (let i = 0; i < 5; i++) await program.run();
  expect(gpu.stats().buffersCreated).toBe(created);
  expect(gpu.stats().submissions - submissions, 'one submission a run').toBe(5);
});
