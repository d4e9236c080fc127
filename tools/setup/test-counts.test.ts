import { expect, test } from 'vitest';
import { addCounts, countsLine, countTests, failedTests } from './test-counts.mjs';

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

test('names what failed, with the first line of why', () => {
  const results = [
    {
      name: '/clone/a.test.ts',
      status: 'passed',
      assertionResults: [{ status: 'passed', fullName: 'fine' }],
    },
    {
      name: '/clone/b.test.ts',
      status: 'failed',
      assertionResults: [
        { status: 'failed', fullName: 'sums up', failureMessages: ['expected 1 to be 2\n  at b.test.ts'] },
        { status: 'passed', fullName: 'counts' },
      ],
    },
    { name: '/clone/c.test.ts', status: 'failed', message: 'no such module\nmore', assertionResults: [] },
  ];
  expect(failedTests({ testResults: results }, '/clone')).toEqual([
    'b.test.ts > sums up: expected 1 to be 2',
    'c.test.ts: no such module',
  ]);
});
