import { expect, test } from 'vitest';
import { type Calibration, kernelTime, predictSeconds, workOf } from './step-time.ts';

const place = (byteLength: number) => ({ offset: 0, byteLength });
const step = (label: string, flops: number, bytes: readonly number[]) => ({
  label,
  flops,
  bytes: bytes.at(-1)!,
  wgsl: '',
  workgroups: [1, 1, 1] as const,
  places: bytes.map(place),
});
/** `[m, k] [k, n]` of f32. */
const product = (m: number, k: number, n: number) =>
  step('matmul.tile', 2 * m * k * n, [4 * m * k, 4 * k * n, 4 * m * n]);

const calibration: Calibration = {
  adapter: 'one',
  submission: 2,
  dispatch: 0.5,
  rates: { product: 1e6, thinProduct: 1e5, attention: 1e4, other: 1e3 },
  wholeStep: 1.5,
};

test('products of low rank are of another kind than large ones', () => {
  expect(workOf(product(512, 512, 512))).toEqual({ kind: 'product', amount: 2 * 512 ** 3 });
  expect(workOf(product(512, 512, 8)).kind).toBe('thinProduct');
  expect(workOf(product(512, 8, 512)).kind).toBe('thinProduct');
  expect(workOf(step('attentionGradient keys', 100, [8, 8]))).toEqual({ kind: 'attention', amount: 100 });
  expect(workOf(step('map add', 0, [40, 20]))).toEqual({ kind: 'other', amount: 60 });
});

test('each kernel takes a dispatch and its work; each program a submission', () => {
  const steps = [step('map add', 0, [1500, 500]), step('attention', 20_000, [4])];
  expect(kernelTime(steps, calibration)).toBeCloseTo(0.5 + 2 + 0.5 + 2, 10);
  expect(predictSeconds([{ steps }, { steps }], calibration)).toBeCloseTo((2 * (2 + 1.5 * 5)) / 1000, 10);
});
