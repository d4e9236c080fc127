import { expect, test } from 'vitest';
import {
  constantSchedule,
  cosineSchedule,
  createSchedule,
  linearSchedule,
  type Schedule,
} from './schedule.ts';

// What torch's optimizer is given by the schedules of transformers 5.23, lr 0.003, 4 of 12 steps of warm-up.
const warm = [0.0, 0.00075, 0.0015, 0.0022500000000000003, 0.003];
const cosine = [
  ...warm,
  0.00288581929876693,
  0.002560660171779821,
  0.002074025148547635,
  0.0015,
  0.0009259748514523654,
  0.0004393398282201788,
  0.0001141807012330699,
  0.0,
  0.00011418070123306973,
];
const linear = [
  ...warm,
  0.002625,
  0.0022500000000000003,
  0.001875,
  0.0015,
  0.0011250000000000001,
  0.00075,
  0.000375,
  0.0,
  0.0,
];
const cosineWithoutWarmUp = [0.003, 0.0029488887394336022, 0.002799038105676658, 0.002560660171779821];

const rates = (schedule: Schedule, count: number): number[] =>
  Array.from({ length: count }, (_, step) => schedule(step));
/** To the last bit but two. */
const expectRates = (got: readonly number[], expected: readonly number[]): void => {
  expect(got.length).toBe(expected.length);
  for (const [i, rate] of got.entries())
    expect(Math.abs(rate - expected[i]!), `step ${i}`).toBeLessThanOrEqual(4 * Number.EPSILON * expected[i]!);
};

const warmup = { warmupSteps: 4 };

test('cosine, linear and constant with warm-up are those of transformers', () => {
  expectRates(rates(cosineSchedule(0.003, 12, warmup), 14), cosine);
  expectRates(rates(linearSchedule(0.003, 12, warmup), 14), linear);
  expectRates(rates(constantSchedule(0.003, warmup), 7), [...warm, 0.003, 0.003]);
});

test('without warm-up the first step has the full rate', () => {
  expectRates(rates(cosineSchedule(0.003, 12), 4), cosineWithoutWarmUp);
  expect(linearSchedule(0.003, 12)(0)).toBe(0.003);
  expect(constantSchedule(0.003)(0)).toBe(0.003);
});

test('schedules by name', () => {
  for (const [kind, schedule] of [
    ['cosine', cosineSchedule(0.003, 12, warmup)],
    ['linear', linearSchedule(0.003, 12, warmup)],
    ['constant', constantSchedule(0.003, warmup)],
  ] as const)
    expect(rates(createSchedule(kind, 0.003, 12, warmup), 12)).toEqual(rates(schedule, 12));
});
