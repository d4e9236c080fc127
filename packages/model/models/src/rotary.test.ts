import { readFileSync } from 'node:fs';
import { Runtime } from '@graftjs/compiler';
import { Variable } from '@graftjs/tensor';
import { rotaryTable } from '@graftjs/transformer';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, llama, parseConfig } from './index.ts';

interface Table {
  readonly config: Record<string, unknown>;
  readonly positions: readonly number[];
  readonly cos: readonly (readonly number[])[];
  readonly sin: readonly (readonly number[])[];
}

const fixture = new URL('../../../../tools/oracle/fixtures/rotary.json', import.meta.url);
const tables = JSON.parse(readFileSync(fixture, 'utf8')) as Record<string, Table>;
const architectures = [llama];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

test.each(Object.entries(tables))('%s: cosines and sines are those of transformers', async (_, table) => {
  const { headDim, ropeTheta, ropeScaling } = parseConfig(table.config, { architectures });
  const positions = new Variable([table.positions.length], Int32Array.from(table.positions));
  const { cos, sin } = rotaryTable({ headDim, theta: ropeTheta, scaling: ropeScaling })(positions);
  const [gotCos, gotSin] = await runtime.evaluate([cos, sin]);
  for (const [got, expected] of [
    [gotCos!, table.cos.flat()],
    [gotSin!, table.sin.flat()],
  ] as const) {
    expect(got.length).toBe(expected.length);
    // At 200 positions, a unit in the last place of a float32 frequency turns the angle by 1e-5.
    for (const [i, value] of expected.entries())
      expect(Math.abs(got[i]! - value), `element ${i}`).toBeLessThan(4e-5);
  }
});

describe('configs', () => {
  const of = (rope_scaling: Record<string, unknown>, change: Record<string, unknown> = {}) =>
    parseConfig(
      { ...tables.default!.config, rope_parameters: null, rope_scaling, ...change },
      { architectures },
    );

  test('a text may have the tokens that scaling makes room for', () => {
    expect(of({ type: 'dynamic', factor: 3 }).maxPositions).toBe(192);
    expect(of({ type: 'yarn', factor: 4 }).maxPositions).toBe(256);
    const long = { type: 'yarn', factor: 4, original_max_position_embeddings: 16 };
    expect(of(long).maxPositions).toBe(64);
    expect(of({ type: 'linear', factor: 4 }).maxPositions).toBe(64);
  });

  test('an original length outside goes before that inside', () => {
    const inside = { type: 'yarn', factor: 4, original_max_position_embeddings: 16 };
    expect(of(inside, { original_max_position_embeddings: 32 }).ropeScaling).toMatchObject({
      originalMaxPositions: 32,
    });
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    ['a factor below 1', { type: 'dynamic', factor: 0.5 }, {}, 'rope_scaling.factor'],
    ['a factor that is missing', { type: 'yarn' }, {}, 'factor'],
    [
      'bounds that cross',
      { type: 'yarn', factor: 2, beta_fast: 1, beta_slow: 4 },
      {},
      'rope_scaling.beta_fast',
    ],
    ['text for a flag', { type: 'yarn', factor: 2, truncate: 'yes' }, {}, 'truncate'],
    ['a head of one pair', { type: 'dynamic', factor: 2 }, { head_dim: 2 }, 'head_dim'],
    ['long rope without factors', { type: 'longrope', factor: 2 }, {}, 'rope_scaling.short_factor'],
  ])('%s is refused by key', (_, rope, change, key) => {
    expect(() => of(rope, change)).toThrow(ConfigError);
    expect(() => of(rope, change)).toThrow(expect.objectContaining({ key }) as Error);
  });
});
