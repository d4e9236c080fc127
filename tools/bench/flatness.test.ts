import { expect, test } from 'vitest';
import { trends } from './flatness.ts';

const run = (heapOf: (i: number) => number) =>
  trends(
    Array.from({ length: 50 }, (_, i) => ({
      step: 40 * i,
      deviceBytes: 1e8,
      heapBytes: heapOf(i),
      milliseconds: 30 + (i % 3),
    })),
  );

test('a heap that swings is flat, one that leaks 400 bytes a step is not', () => {
  const swinging = run((i) => 2e7 + 1e5 * (i % 2));
  expect(swinging.heapBytes.isFlat).toBe(true);
  expect(swinging.deviceBytes).toMatchObject({ growth: 0, isFlat: true });
  expect(swinging.milliseconds.isFlat).toBe(true);
  const leaking = run((i) => 2e7 + 40 * 400 * i);
  expect(leaking.heapBytes.isFlat).toBe(false);
  expect(leaking.heapBytes.growth).toBeCloseTo((49 * 40 * 400) / (2e7 + (49 / 2) * 40 * 400), 6);
});
