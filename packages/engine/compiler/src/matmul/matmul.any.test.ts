import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  configLabel,
  type MatmulConfig,
  type MatmulEpilogue,
  type MatmulProblem,
  matmulConfigs,
  matmulKernel,
} from './index.ts';
import { type Case, type CaseOptions, makeCase, product, upload } from './testing.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

/**
 * Largest error allowed, for values between -1 and 1: each term is rounded twice where the device does not fuse
 * (the product and the sum), by 2^-24 of the largest product. Sums may grow beyond one product, but random
 * rounding errors cancel: what is seen is a tenth of this for long sums.
 */
const bound = (k: number): number => 2 * k * 2 ** -24;

function worstError(got: Float32Array, expected: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const error = Math.abs(got[i]! - expected[i]!);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return worst;
}

const families = (problem: MatmulProblem, wanted: (config: MatmulConfig) => boolean): MatmulConfig[] =>
  matmulConfigs(problem, gpu.traits).filter(wanted);

/** Every wanted configuration against float64. */
async function check(made: Case, wanted: (config: MatmulConfig) => boolean): Promise<number> {
  const expected = product(made);
  const memory = upload(gpu, made);
  const configs = families(made.problem, wanted);
  for (const config of configs) {
    const kernel = matmulKernel(made.problem, gpu.traits, { config });
    const error = worstError(await memory.run(kernel), expected);
    expect(error, `${made.name} by ${kernel.label}, ${config.parts} parts`).toBeLessThanOrEqual(
      bound(made.problem.k),
    );
  }
  memory.release();
  return configs.length;
}

const FORMS = ['NN', 'NT', 'TN', 'TT'] as const;

/** m, k, n: aligned and ragged, below and above every tile's extent. */
const SHAPES = [
  [1, 1, 1],
  [1, 64, 3],
  [1, 40, 100],
  [3, 5, 7],
  [4, 4, 4],
  [5, 65, 1],
  [7, 8, 64],
  [8, 7, 100],
  [9, 100, 65],
  [31, 33, 64],
  [32, 36, 8],
  [33, 12, 31],
  [64, 3, 4],
  [65, 64, 33],
  [100, 9, 8],
  [68, 20, 132],
] as const;

/** Fewer, because the tiles' texts are slow to compile on a CPU adapter. */
const TILE_SHAPES = [
  [68, 20, 132],
  [9, 100, 65],
  [64, 3, 4],
  [1, 40, 33],
] as const;

const notTile = (config: MatmulConfig): boolean => config.family !== 'tile';

describe('every shape and form', () => {
  test.each(FORMS)('%s by the subgroup and plain families', async (form) => {
    for (const shape of SHAPES) expect(await check(makeCase(form, shape), notTile)).toBeGreaterThan(0);
  });

  test.each(FORMS)('%s by the 32x32 tile', async (form) => {
    for (const shape of TILE_SHAPES)
      await check(makeCase(form, shape), (c) => c.family === 'tile' && c.rows === 32 && c.columns === 32);
  });

  test.each([
    ['TN', [64, 32, 128], { rows: 64, columns: 64, threadRows: 8 }],
    ['NT', [70, 20, 132], { rows: 64, columns: 64, threadRows: 8 }],
    ['NN', [67, 33, 130], { rows: 64, columns: 64, threadRows: 4 }],
    ['NT', [5, 52, 260], { rows: 8, columns: 128, threadRows: 4 }],
    ['NN', [260, 20, 8], { rows: 128, columns: 8, threadRows: 4 }],
  ] as const)('%s %j by the tile %j', async (form, shape, tile) => {
    const ran = await check(
      makeCase(form, shape),
      (c) =>
        c.family === 'tile' &&
        c.rows === tile.rows &&
        c.columns === tile.columns &&
        c.threadRows === tile.threadRows &&
        c.parts === 1,
    );
    expect(ran).toBe(1);
  });
});

// No adapter here has them, so these texts are validated only; sizes 4, 8 and 16 run.
test.for([32, 64])('texts for subgroups of %i are valid', async (subgroupSize, { skip }) => {
  skip(gpu.traits.subgroupSize === 0, 'the adapter has no subgroups');
  for (const form of FORMS) {
    const { problem } = makeCase(form, [64, 64, 64]);
    for (const config of matmulConfigs(problem, { ...gpu.traits, subgroupSize })) {
      if (config.family !== 'subgroup') continue;
      const kernel = matmulKernel(problem, gpu.traits, { config });
      await gpu.pipeline(kernel.wgsl, kernel.label, { storage: 3, uniform: true });
    }
  }
});

describe('16-bit operands and results', () => {
  const shapes = [
    [5, 65, 4],
    [33, 12, 64],
    [68, 20, 132],
    [9, 33, 7],
  ] as const;
  test.each((['f16', 'bf16'] as const).flatMap((half) => FORMS.map((form) => [half, form] as const)))(
    '%s, %s',
    async (half, form) => {
      for (const shape of shapes)
        for (const dtypes of [
          ['f32', half, 'f32'],
          [half, half, shape[2] % 4 === 0 ? half : 'f32'],
        ] as const) {
          const made = makeCase(form, shape, { dtypes, offset: form === 'NT' ? 3 : 0 });
          const expected = product(made);
          const memory = upload(gpu, made);
          // Rounded to 11 or 8 bits when it is stored.
          const rounding = dtypes[2] === 'f32' ? 0 : half === 'f16' ? 2 ** -11 : 2 ** -8;
          const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          const tiles = form === 'NT' && shape[0] === 68;
          for (const config of families(
            made.problem,
            (c) => c.family !== 'tile' || (tiles && c.rows === 32),
          )) {
            const kernel = matmulKernel(made.problem, gpu.traits, { config });
            const error = worstError(await memory.run(kernel), expected);
            expect(error, `${made.name} by ${kernel.label}`).toBeLessThanOrEqual(
              bound(made.problem.k) + rounding * largest,
            );
          }
          memory.release();
        }
    },
  );
});

describe('operands in place', () => {
  const layouts: [string, string, readonly [number, number, number], CaseOptions][] = [
    ['heads between tokens', 'NT', [20, 8, 20], { batch: [2, 3], interleaved: true }],
    ['heads between tokens', 'NN', [20, 20, 8], { batch: [2, 3], interleaved: true }],
    ['heads between tokens', 'TN', [12, 20, 8], { batch: [2, 3], interleaved: true }],
    ['heads of odd length', 'NT', [9, 5, 9], { batch: [2, 3], interleaved: true }],
    ['keys shared by a group', 'NT', [9, 8, 12], { batch: [2, 4], sharedB: true }],
    ['rows with padding', 'NN', [9, 12, 20], { padding: 4, offset: 8 }],
    ['rows with odd padding', 'NN', [9, 12, 20], { padding: 3, offset: 8 }],
    ['an odd offset', 'NT', [9, 12, 20], { offset: 5 }],
    ['a column-major operand with padding', 'TT', [12, 8, 16], { padding: 4, offset: 4, batch: [1, 2] }],
  ];
  test.each(layouts)('%s, %s %j', async (_, form, shape, options) => {
    const small = (c: MatmulConfig) => notTile(c) || (c.family === 'tile' && c.rows === 32);
    expect(await check(makeCase(form, shape, options), small)).toBeGreaterThan(0);
  });

  test('an operand with neither stride 1 is read one element at a time', async () => {
    const made = makeCase('NN', [6, 5, 9]);
    const spread = (data: Float32Array) => {
      const out = new Float32Array(data.length * 2).fill(Number.NaN);
      data.forEach((v, i) => {
        out[2 * i] = v;
      });
      return out;
    };
    const wide = (o: MatmulProblem['a']) => ({
      ...o,
      rowStride: o.rowStride * 2,
      colStride: o.colStride * 2,
    });
    const { problem, a, b, name } = made;
    await check(
      { name, problem: { ...problem, a: wide(problem.a), b: wide(problem.b) }, a: spread(a), b: spread(b) },
      notTile,
    );
  });
});

/** value * 0.5 + bias of the column + what is added, one element at a time or four. */
const epilogue = (n: number): MatmulEpilogue => ({
  extraBindings: 2,
  dtypes: [],
  declarations: `@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> added: array<f32>;
fn biasOf(index: u32) -> f32 { return bias[index % ${n}u]; }`,
  functions: `fn epilogue1(value: f32, index: u32) -> f32 { return value * 0.5 + biasOf(index) + added[index]; }
fn epilogue4(value: vec4<f32>, index: u32) -> vec4<f32> {
  return vec4(epilogue1(value.x, index), epilogue1(value.y, index + 1u), epilogue1(value.z, index + 2u), epilogue1(value.w, index + 3u));
}`,
});

test.each([
  ['NN', [20, 8, 36], [1, 1]],
  ['NT', [9, 5, 7], [2, 2]],
  ['TN', [8, 600, 12], [1, 1]],
  ['TN', [12, 601, 5], [1, 1]],
] as const)('an epilogue sees every result once: %s %j batch %j', async (form, shape, batch) => {
  const made = makeCase(form, shape, { batch });
  const [, k, n] = shape;
  const expected = product(made);
  const bias = Float32Array.from({ length: n }, (_, i) => i / 8);
  const added = Float32Array.from(expected, (_, i) => (i % 64) / 16);
  const wanted = expected.map((v, i) => v * 0.5 + bias[i % n]! + added[i]!);
  const memory = upload(gpu, made, [bias, added]);
  const [first, ...others] = families(made.problem, notTile);
  for (const config of [first!, ...others.filter((c) => c.family === 'plain')]) {
    const kernel = matmulKernel(made.problem, gpu.traits, { config, epilogue: epilogue(n) });
    const error = worstError(await memory.run(kernel), wanted);
    // Two more roundings, of values below 16.
    expect(error, `${kernel.label}, ${config.parts} parts`).toBeLessThanOrEqual(bound(k) + 2 * 2 ** -20);
  }
  memory.release();
});

/** Rows are `[2, m / 2]`, columns `[heads, 8]`; results lie as `[2, heads, m / 2, 8]`. */
test.each([
  ['NT', [22, 12, 24], 'f32'],
  ['NN', [10, 600, 16], 'f32'],
  ['NN', [66, 40, 40], 'bf16'],
] as const)('results lie where they are wanted: %s %j, %s', async (form, shape, dtype) => {
  const [m, k, n] = shape;
  const made = makeCase(form, shape, { dtypes: ['f32', 'f32', dtype] });
  const [tokens, heads, d] = [m / 2, n / 8, 8];
  const place = {
    row: { split: tokens, high: heads * tokens * d, low: d },
    column: { split: d, high: tokens * d, low: 1 },
  };
  const problem = { ...made.problem, place };
  const expected = new Float64Array(m * n);
  product(made).forEach((v, i) => {
    const [row, column] = [Math.floor(i / n), i % n];
    const head = Math.floor(row / tokens) * heads + Math.floor(column / d);
    expected[(head * tokens + (row % tokens)) * d + (column % d)] = v;
  });
  const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const memory = upload(gpu, made);
  const configs = families(problem, (c) =>
    c.family === 'subgroup' ? c.across === 32 : c.family !== 'tile' || c.rows === 32,
  );
  if (k === 600) expect(configs.some((c) => c.parts > 1)).toBe(true);
  for (const config of configs) {
    const kernel = matmulKernel(problem, gpu.traits, { config });
    const error = worstError(await memory.run(kernel), expected);
    expect(error, `${kernel.label}, ${config.parts} parts`).toBeLessThanOrEqual(
      bound(k) + (dtype === 'f32' ? 0 : 2 ** -8 * largest),
    );
  }
  memory.release();
});

describe('a split inner axis', () => {
  test.each([
    ['TN', [8, 1000, 36]],
    ['TN', [33, 515, 8]],
    ['NT', [4, 1028, 4]],
    ['NN', [3, 777, 5]],
  ] as const)('%s %j', async (form, shape) => {
    const made = makeCase(form, shape);
    expect(await check(made, (c) => c.parts > 1 && notTile(c))).toBeGreaterThan(0);
  });

  test('gives the same bits every time', async () => {
    const made = makeCase('TN', [8, 2000, 16]);
    const memory = upload(gpu, made);
    const config = families(made.problem, (c) => c.parts > 1)[0]!;
    const kernel = matmulKernel(made.problem, gpu.traits, { config });
    expect(kernel.splitK?.parts).toBeGreaterThan(1);
    const first = await memory.run(kernel);
    for (let i = 0; i < 3; i++) expect(await memory.run(kernel)).toEqual(first);
    memory.release();
  });
});

describe('the grid', () => {
  const { a, b, problem, name } = makeCase('NN', [100, 8, 12], { batch: [3, 1] });

  test('is folded where the device allows few workgroups along an axis', async () => {
    const traits = { ...gpu.traits, maxWorkgroupsPerDimension: 8 };
    const memory = upload(gpu, { a, b, problem, name });
    const expected = product({ a, b, problem, name });
    for (const config of families(problem, notTile)) {
      const kernel = matmulKernel(problem, traits, { config });
      expect(Math.max(...kernel.workgroups)).toBeLessThanOrEqual(8);
      expect(worstError(await memory.run(kernel), expected), configLabel(config)).toBeLessThanOrEqual(
        bound(8),
      );
    }
    memory.release();
  });

  test('that does not fit is an error that says so', () => {
    const traits = { ...gpu.traits, maxWorkgroupsPerDimension: 1 };
    expect(() => matmulKernel(problem, traits)).toThrow(/grid of .* workgroups, the device allows 1 along/);
  });
});
