import { expect, test } from 'vitest';
import { ArgumentsError, readArguments, usage } from './arguments.ts';
import { groups } from './groups.ts';
import { texts } from './texts.ts';

const message = (...args: string[]): string => {
  try {
    readArguments(args);
  } catch (error) {
    expect(error).toBeInstanceOf(ArgumentsError);
    return (error as Error).message;
  }
  return 'no error';
};

test('groups that are named run in that order; else the default ones', () => {
  expect(readArguments(['--only', 'replay,matmul', '--rounds', '3'])).toMatchObject({
    only: ['replay', 'matmul'],
    rounds: 3,
    peers: false,
  });
  const chosen = readArguments([])!.only;
  expect(chosen.length).toBeGreaterThan(0);
  expect(chosen.every((name) => groups[name]!.isDefault)).toBe(true);
});

test('the usage names every group', () => {
  expect(readArguments(['--help'])).toBeUndefined();
  for (const name of Object.keys(groups)) expect(usage).toContain(` ${name} `);
});

test('what is not understood is one line', () => {
  expect(message('--fast')).toBe("Unknown option '--fast'; --help lists the options");
  expect(message('matmul')).toMatch(/^Unexpected argument 'matmul'/);
  expect(message('--only', 'matmull')).toMatch(/^there is no group 'matmull'; there are matmul, /);
  expect(message('--rounds', '0')).toBe('--rounds 0 is not a whole number from 1 on');
  expect(message('--rounds')).toMatch(/argument missing/);
  for (const args of [['--fast'], ['matmul'], ['--rounds']]) expect(message(...args)).not.toContain('\n');
});

test('Python is the one that is named, else that of the environment', () => {
  const python = (args: string[], environment: Record<string, string>) =>
    readArguments(args, environment)!.python;
  expect(python(['--python', 'a'], { GRAFT_PYTHON: 'b' })).toBe('a');
  expect(python([], { GRAFT_PYTHON: 'b' })).toBe('b');
  expect(python([], {})).toBeUndefined();
});

test('every group has a title and a text for the document', () => {
  expect(Object.keys(texts).sort()).toEqual(Object.keys(groups).sort());
});
