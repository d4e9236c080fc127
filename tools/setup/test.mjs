import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideChromium } from './chromium.mjs';
import { provideDependencies } from './install.mjs';
import { root, run, say } from './process.mjs';
import { addCounts, countsLine, countTests, failedTests } from './test-counts.mjs';
import { provideVulkan } from './vulkan.mjs';

const json = process.argv.includes('--json');
const bin = (name) => join(root, 'node_modules/.bin', name);
const reports = mkdtempSync(join(tmpdir(), 'graft-test-'));

// With --json stdout carries one object a line and all else goes to stderr.
const note = (event, line) => {
  if (json) console.log(JSON.stringify(event));
  else console.log(line);
};

const vitest = (project) => [
  'run',
  `--project=${project}`,
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${join(reports, `${project}.json`)}`,
];

const steps = [
  { name: 'floors', tool: 'tsx', args: ['tools/floors/main.ts'] },
  { name: 'lint', tool: 'biome', args: ['check', '--error-on-warnings', '.'] },
  // all packages as one program: each alone would check the sources below it again
  { name: 'typecheck', tool: 'tsc', args: ['--project', '.'] },
  { name: 'test in Node', tool: 'vitest', args: vitest('node'), project: 'node' },
  { name: 'test in Chromium', tool: 'vitest', args: vitest('browser'), project: 'browser' },
];

/** The counts of a project's tests, and a line for each that failed. */
function readReport(project) {
  try {
    const report = JSON.parse(readFileSync(join(reports, `${project}.json`), 'utf8'));
    return { counts: countTests(report), failures: failedTests(report, root) };
  } catch {
    // That is a failure, not an absence of tests.
    const failures = [`the tests of the project ${project} ended without a report`];
    return { counts: { passed: 0, failed: 1, skipped: 0 }, failures };
  }
}

async function main() {
  await provideDependencies();
  const env = { ...(await provideChromium(await provideVulkan())), NX_DAEMON: 'false' };
  const failed = [];
  const failures = [];
  let counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, tool, args, project } of steps) {
    if (!json) console.log(`\n== ${name}`);
    const start = performance.now();
    const code = await run(bin(tool), args, { env, quiet: json });
    const seconds = Number(((performance.now() - start) / 1000).toFixed(1));
    if (project) {
      const report = readReport(project);
      counts = addCounts(counts, report.counts);
      failures.push(...report.failures);
    }
    if (code !== 0) failed.push(name);
    note(
      { event: 'step', name, ok: code === 0, seconds },
      `== ${name}: ${code === 0 ? 'ok' : 'FAILED'}, ${seconds} s`,
    );
  }
  if (failed.length > 0) {
    process.exitCode = 1;
    if (!json) console.log(['', failed.join(', '), ...failures].join('\nfailed: '));
  }
  note(
    { event: 'result', ok: failed.length === 0, failedSteps: failed, failedTests: failures, ...counts },
    countsLine(counts),
  );
}

try {
  await main();
} catch (error) {
  say(error.message);
  process.exitCode = 1;
} finally {
  rmSync(reports, { recursive: true, force: true });
}
