import { relative } from 'node:path';

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 */

/**
 * The counts of a report that vitest's json reporter wrote. A file that fails to load has no tests of
 * its own in the report and counts as one failed test.
 *
 * @returns {Counts}
 */
export function countTests(report) {
  const broken = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/**
 * @param {Counts} a
 * @param {Counts} b
 * @returns {Counts}
 */
export const addCounts = (a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});

/**
 * `N passed, N failed`, and `, N skipped` where some were.
 *
 * @param {Counts} counts
 */
export const countsLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`;

/**
 * The tests of a report that failed, a line each: file, name, first line of the error.
 *
 * @param {string} folder what the files are named relative to
 * @returns {string[]}
 */
export function failedTests(report, folder) {
  const first = (message) => (message ?? '').trim().split('\n')[0];
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    const file = relative(folder, name);
    if (failed.length === 0) return status === 'failed' ? [`${file}: ${first(message)}`] : [];
    return failed.map((test) => `${file} > ${test.fullName}: ${first(test.failureMessages?.[0])}`);
  });
}
