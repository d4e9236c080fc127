/** A generated package holds everything that a package must, before anyone has touched it. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkFloors } from '../floors/check.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const generate: (tree: object, options: object) => () => void = createRequire(import.meta.url)(
  './tuner/generator.cjs',
);
const left = new Set(['node_modules', 'dist', 'files', 'fixtures']);

let root: string;
const tree = {
  get root() {
    return root;
  },
  exists: (path: string) => existsSync(join(root, path)),
  write: (path: string, content: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  },
};
const run = (tool: string, ...args: string[]) =>
  promisify(execFile)(join(repository, 'node_modules/.bin', tool), args, { cwd: root });

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-generated-'));
  const names = [
    'package.json',
    'tsconfig.base.json',
    'tsup.config.base.ts',
    'vitest.config.ts',
    'biome.json',
    '.gitignore',
  ];
  for (const name of names) cpSync(join(repository, name), join(root, name));
  cpSync(join(repository, 'packages'), join(root, 'packages'), {
    recursive: true,
    filter: (path) => !left.has(basename(path)),
  });
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
  generate(tree, { name: 'my-own-method' });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const folder = 'packages/tuners/my-own-method';

test('names that are none, and packages that are there, are refused', () => {
  expect(() => generate(tree, { name: 'MyMethod' })).toThrow('use lower case with dashes');
  expect(() => generate(tree, { name: 'my-own-method' })).toThrow('is there already');
});

test('floors', () => {
  expect(checkFloors(root).violations).toEqual([]);
});

test('lint', () => run('biome', 'check', '--error-on-warnings', folder));

test('types', () => run('tsc', '-p', folder));

test('its tests', async () => {
  const { stdout } = await run('vitest', 'run', '--project', 'node', `${folder}/`, '-t', 'on llama');
  expect(stdout).toMatch(/Tests.*10 passed/);
});
