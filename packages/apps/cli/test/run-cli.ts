import { expect } from 'vitest';
import { runCli } from '../src/index.ts';
import { type TestHost, testHost } from './host.ts';

/** Runs a command line that must end well. */
export async function succeed(...argv: readonly string[]): Promise<TestHost> {
  const host = testHost();
  const code = await runCli(argv, host);
  expect(code, host.stderr()).toBe(0);
  return host;
}

/** The result of a command line that must end well. */
export const resultOf = async (...argv: readonly string[]): Promise<Record<string, unknown>> =>
  (await succeed(...argv, '--json')).events().at(-1)!;

/** Runs a command line that must fail: its exit code, and the one line that it says. */
export async function fail(...argv: readonly string[]): Promise<{ code: number; line: string }> {
  const host = testHost();
  const code = await runCli(argv, host);
  const [line, ...more] = host.stderr().split('\n');
  expect(more, host.stderr()).toEqual(['']);
  expect(line).toMatch(/^graft: \S/);
  return { code, line: line!.slice('graft: '.length) };
}
