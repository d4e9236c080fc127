import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkFloors } from './check.ts';
import { WorkspaceError } from './workspace.ts';

let root: string;

function write(path: string, content: string | object): void {
  const target = join(root, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, typeof content === 'string' ? content : JSON.stringify(content));
}

function manifest(name: string, tags: string[], dependencies: string[] = [], more: object = {}): object {
  const versions = Object.fromEntries(dependencies.map((dependency) => [dependency, '*']));
  return { name, dependencies: versions, exports: { '.': './src/index.ts' }, nx: { tags }, ...more };
}

const reasons = (): string[] =>
  checkFloors(root).violations.map(({ file, line, reason }) => `${file}:${line}: ${reason}`);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'floors-'));
  write('package.json', { name: 'root', devDependencies: { vitest: '*', tsup: '*' } });
  write('packages/low/base/package.json', manifest('@graftjs/base', ['floor:0', 'runtime:any']));
  write('packages/low/base/src/index.ts', "export * from './part.ts';\n");
  write('packages/low/base/src/part.ts', 'export const part = 1;\n');
  write(
    'packages/mid/nn/package.json',
    manifest('@graftjs/nn', ['floor:3', 'runtime:any'], ['@graftjs/base']),
  );
  write('packages/mid/nn/src/index.ts', "export { part } from '@graftjs/base';\n");
  write('packages/mid/nn/tsup.config.ts', "import 'tsup';\nimport '../../../tsup.config.base.ts';\n");
  write(
    'packages/mid/optim/package.json',
    manifest('@graftjs/optim', ['floor:3', 'runtime:any'], ['@graftjs/nn']),
  );
  write('packages/mid/optim/src/index.ts', "export * from '@graftjs/nn';\n");
  write(
    'packages/top/cli/package.json',
    manifest('@graftjs/cli', ['floor:6', 'runtime:node'], ['@graftjs/nn', 'yaml']),
  );
  write('packages/top/cli/src/index.ts', "import 'node:fs';\nimport 'yaml';\nimport '@graftjs/nn';\n");
});
afterEach(() => rmSync(root, { recursive: true }));

test('a tree that keeps to its floors has no violation', () => {
  expect(checkFloors(root)).toEqual({ violations: [], packages: 4, files: 6 });
});

test('an import from a higher floor is found, in each form, with its line', () => {
  const up = '@graftjs/base (floor 0) must not import @graftjs/nn from the higher floor 3';
  write(
    'packages/low/base/src/part.ts',
    [
      "import { a } from '@graftjs/nn';",
      "import type { B } from '@graftjs/nn';",
      "export * from '@graftjs/nn';",
      "const c = await import('@graftjs/nn');",
      "// import '@graftjs/nn' in a comment and a string is none:",
      'const d = "import \'@graftjs/nn\'";',
    ].join('\n'),
  );
  expect(reasons()).toEqual([1, 2, 3, 4].map((line) => `packages/low/base/src/part.ts:${line}: ${up}`));
});

test('a declared dependency on a higher floor is found without any import', () => {
  write(
    'packages/low/base/package.json',
    manifest('@graftjs/base', ['floor:0', 'runtime:any'], ['@graftjs/cli']),
  );
  expect(reasons()).toEqual([
    'packages/low/base/package.json:0: @graftjs/base (floor 0) must not import @graftjs/cli from the higher floor 6',
  ]);
});

test('a pair on one floor is allowed in the listed direction alone', () => {
  write('packages/mid/nn/src/index.ts', "import '@graftjs/optim';\n");
  expect(reasons()).toEqual([expect.stringContaining('both are on floor 3')]);
});

test('an undeclared dependency is found', () => {
  write('packages/mid/nn/src/index.ts', "import 'yaml';\nimport '@scope/name/sub';\n");
  expect(reasons()).toEqual([
    expect.stringContaining('src/index.ts:1: yaml is not among the dependencies of @graftjs/nn'),
    expect.stringContaining('src/index.ts:2: @scope/name is not among the dependencies of @graftjs/nn'),
  ]);
});

test('an undeclared package of a lower floor is found', () => {
  write('packages/top/cli/src/index.ts', "import '@graftjs/base';\n");
  expect(reasons()).toEqual([
    expect.stringContaining('@graftjs/base is not among the dependencies of @graftjs/cli'),
  ]);
});

test("Node's built-ins stay in Node's files, which only Node's files import", () => {
  write('packages/low/base/src/files.node.ts', "import 'node:fs';\n");
  write('packages/low/base/src/node.ts', "import './files.node.ts';\nimport 'fs';\n");
  expect(reasons()).toEqual([]);
  write('packages/low/base/src/part.ts', "import 'node:fs';\nimport './files.node.ts';\nimport 'fs';\n");
  expect(reasons()).toEqual([
    expect.stringContaining("part.ts:1: @graftjs/base runs in browsers; Node's built-ins belong"),
    expect.stringContaining('part.ts:2: files.node.ts is for Node alone'),
    expect.stringContaining("part.ts:3: @graftjs/base runs in browsers; Node's built-ins belong"),
  ]);
});

test('the inside of another package is closed, by path and by name', () => {
  write(
    'packages/mid/nn/src/index.ts',
    "import '../../../low/base/src/part.ts';\nimport '@graftjs/base/src/part.ts';\n",
  );
  expect(reasons()).toEqual([
    expect.stringContaining('index.ts:1: the path leads out of @graftjs/nn'),
    expect.stringContaining('index.ts:2: @graftjs/base does not export @graftjs/base/src/part.ts'),
  ]);
});

test('a pattern in exports opens what it matches and nothing else', () => {
  const exports = { '.': './src/index.ts', './files/*': './files/*', './data/*.json': './data/*.json' };
  write(
    'packages/low/base/package.json',
    manifest('@graftjs/base', ['floor:0', 'runtime:any'], [], { exports }),
  );
  const names = ['files/a/b.bin', 'data/a.json', 'data/a.txt', 'filed/a'];
  write('packages/mid/nn/src/index.ts', names.map((name) => `import '@graftjs/base/${name}';\n`).join(''));
  expect(reasons()).toEqual([
    expect.stringContaining('index.ts:3: @graftjs/base does not export @graftjs/base/data/a.txt'),
    expect.stringContaining('index.ts:4: @graftjs/base does not export @graftjs/base/filed/a'),
  ]);
});

test("tests may use Node, the root's tools and their own floor, but nothing undeclared or higher", () => {
  write(
    'packages/mid/nn/src/index.test.ts',
    "import 'node:fs';\nimport 'vitest';\nimport '@graftjs/optim';\n",
  );
  expect(reasons()).toEqual([]);
  write('packages/mid/nn/src/index.test.ts', "import '@graftjs/cli';\nimport 'left-pad';\n");
  expect(reasons()).toEqual([
    expect.stringContaining('higher floor 6'),
    expect.stringContaining("left-pad is declared neither by @graftjs/nn nor in the root's devDependencies"),
  ]);
});

test('a package without a floor or a runtime is an error that names the file', () => {
  write('packages/top/cli/package.json', manifest('@graftjs/cli', ['runtime:node']));
  expect(() => checkFloors(root)).toThrow(WorkspaceError);
  expect(() => checkFloors(root)).toThrow(/packages\/top\/cli\/package\.json: needs "floor:<number>"/);
});
