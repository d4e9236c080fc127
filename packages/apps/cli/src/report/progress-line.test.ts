import type { StepEvent } from '@graftjs/trainer';
import { expect, test } from 'vitest';
import { duration } from './duration.ts';
import { progressLine, scientific } from './progress-line.ts';

const event: StepEvent = {
  event: 'step',
  step: 120,
  totalSteps: 600,
  epoch: 0.4,
  loss: 1.8304,
  learningRate: 1.8e-4,
  gradNorm: 0.7123,
  skipped: false,
  tokens: 512,
  tokensPerSecond: 2400,
  peakBytes: 320e6,
  secondsLeft: 372,
};

test('the line of a step', () => {
  expect(progressLine(event, 1.88, 2400)).toBe(
    'step 120/600 (20 %) epoch 0.40 · loss 1.830 · val 1.880 · |g| 0.71 · lr 1.8e-4 · 2.4k tok/s · GPU 320 MB · ETA 6m12s',
  );
  expect(progressLine(event, undefined, 847)).not.toContain('val');
});

test('in a narrow terminal what matters least is left out', () => {
  expect(progressLine(event, 1.88, 2400, 79)).toBe(
    'step 120/600 (20 %) · loss 1.830 · val 1.880 · 2.4k tok/s · ETA 6m12s',
  );
  expect(progressLine(event, 1.88, 2400, 40)).toBe('step 120/600 (20 %) · loss 1.830');
});

test.each([
  [0, '0s'],
  [59.4, '59s'],
  [59.6, '1m00s'],
  [372, '6m12s'],
  [3599.7, '1h00m'],
  [11100, '3h05m'],
])('%d seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text));

test.each([
  [0, '0'],
  [2e-4, '2e-4'],
  [1.84e-4, '1.8e-4'],
  [1, '1e0'],
])('%d is %s', (value, text) => expect(scientific(value)).toBe(text));
