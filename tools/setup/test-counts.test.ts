import { expect, test } from 'vitest';
import { addCounts, countsLine, countTests } from './test-counts.mjs';

const report = {
  numPassedTests: 5,
  numFailedTests: 1,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults: [
    { status: 'passed', assertionResults: [{ status: 'passed' }] },
    { status: 'failed', assertionResults: [{ status: 'failed' }] },
    { status: 'failed', assertionResults: [] },
  ],
};

test('a file that fails to load counts as one failed test', () => {
  expect(countTests(report)).toEqual({ passed: 5, failed: 2, skipped: 3 });
});

test('the line names skipped tests only where there are some', () => {
  const counts = addCounts(countTests(report), { passed: 10, failed: 0, skipped: 0 });
  expect(countsLine(counts)).toBe('15 passed, 2 failed, 3 skipped');
  expect(countsLine({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed');
});
