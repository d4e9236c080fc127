import { expect, test } from 'vitest';
import { StepClock } from './step-clock.ts';

test('a step lasts from its submission, or from the end of the one before, to its own end', () => {
  const clock = new StepClock(10);
  // Compiled until 5000, then 1 s of work.
  expect(clock.step(1, 500, 5000, 6000)).toEqual({ tokensPerSecond: 500, secondsLeft: 9 });
  // Submitted while the first one ran: it began when that was done.
  expect(clock.step(2, 500, 5100, 6500)).toEqual({ tokensPerSecond: 1000, secondsLeft: 6 });
  // An evaluation lay between.
  expect(clock.step(3, 300, 9000, 9300)).toEqual({ tokensPerSecond: 1000, secondsLeft: 4.2 });
});

test('a step that takes no time has a finite speed', () => {
  expect(new StepClock(1).step(1, 10, 5, 5).tokensPerSecond).toBeLessThan(Number.POSITIVE_INFINITY);
});
