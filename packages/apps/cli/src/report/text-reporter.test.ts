import type { StepEvent } from '@graftjs/trainer';
import { describe, expect, test } from 'vitest';
import { testHost } from '../../test/host.ts';
import { textReporter } from './text-reporter.ts';

const step = (n: number): StepEvent => ({
  event: 'step',
  step: n,
  totalSteps: 25,
  epoch: 0,
  loss: 2,
  learningRate: 1e-4,
  gradNorm: 1,
  skipped: false,
  tokens: 10,
  tokensPerSecond: 100,
  peakBytes: 1e6,
  secondsLeft: 1,
});
const all = Array.from({ length: 25 }, (_, i) => step(i + 1));

describe('without a terminal', () => {
  test('a line each logEvery steps, the first and the last among them', () => {
    const host = testHost();
    const reporter = textReporter(host, { logEvery: 10 });
    for (const event of all) reporter.report(event);
    expect(
      host
        .stdout()
        .split('\n')
        .map((line) => line.split(' ')[1]),
    ).toEqual(['1/25', '10/25', '20/25', '25/25', undefined]);
    expect(host.stdout()).not.toContain('\x1b');
  });

  test('a step that was skipped is said, whatever its number', () => {
    const host = testHost();
    const reporter = textReporter(host, { logEvery: 10 });
    reporter.report({ ...step(4), loss: Number.NaN, gradNorm: Number.POSITIVE_INFINITY, skipped: true });
    expect(host.stdout()).toBe(
      'step 4: skipped, since its loss is NaN and its gradient norm Infinity; nothing was changed\n',
    );
  });

  test('quiet prints the result only', () => {
    const host = testHost();
    const reporter = textReporter(host, { quiet: true });
    for (const event of all) reporter.report(event);
    reporter.report({ event: 'note', message: 'a note' });
    reporter.result({}, 'the result');
    expect(host.stdout()).toBe('the result\n');
  });
});

describe('on a terminal', () => {
  test('one line is written anew, and messages stand above it', () => {
    const host = testHost({ isTerminal: true });
    const reporter = textReporter(host);
    reporter.report(step(1));
    reporter.report(step(2));
    reporter.report({ event: 'note', message: 'a note' });
    const text = host.stdout();
    // The second step comes within the same tenth of a second and is not shown.
    expect(text.split('\r\x1b[K')).toEqual(['', expect.stringMatching(/^step 1\/25 /), 'a note\n']);
    expect(text).not.toContain('2/25');
  });

  test('the line never wraps', () => {
    const host = testHost({ isTerminal: true, columns: 20 });
    textReporter(host).report(step(1));
    expect(host.stdout().replace('\r\x1b[K', '')).toHaveLength(19);
  });

  test('NO_COLOR is honoured', () => {
    const colored = testHost({ isTerminal: true });
    const plain = testHost({ isTerminal: true, env: { NO_COLOR: '1' } });
    for (const host of [colored, plain])
      textReporter(host).report({ event: 'checkpoint', step: 1, location: 'here' });
    expect(colored.stdout()).toContain('\x1b[2m');
    expect(plain.stdout()).toBe('step 1: saved here\n');
  });
});
