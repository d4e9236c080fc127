import { builtinModules } from 'node:module';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Workspace } from './workspace.ts';

/**
 * Imports that are allowed between packages of one floor: importer, then what it may import. A package
 * that is not named here imports only from the floors below its own.
 */
export const sameFloor: Readonly<Record<string, readonly string[]>> = {
  '@graftjs/reference': ['@graftjs/tensor'],
  '@graftjs/transformer': ['@graftjs/nn'],
  '@graftjs/models': ['@graftjs/nn', '@graftjs/transformer', '@graftjs/checkpoint'],
  '@graftjs/generate': ['@graftjs/nn', '@graftjs/transformer', '@graftjs/models'],
  '@graftjs/optim': ['@graftjs/nn'],
  '@graftjs/lora-initialization': ['@graftjs/lora'],
  '@graftjs/trainable-tokens': ['@graftjs/lora'],
  '@graftjs/xlora': ['@graftjs/lora'],
  '@graftjs/union': ['@graftjs/bottleneck'],
  '@graftjs/quickstart': ['@graftjs/trainer'],
};

/** The package of a floor on which all others of it stand: a new tuner needs no line in the table above. */
export const floorBase: Readonly<Record<number, string>> = { 4: '@graftjs/peft' };

/** What the rules know about the workspace. */
export interface Context {
  readonly workspaces: ReadonlyMap<string, Workspace>;
  /** Development tools of the root package.json. */
  readonly tools: ReadonlySet<string>;
  readonly sameFloor: Readonly<Record<string, readonly string[]>>;
}

const builtins = new Set(builtinModules);
const isBuiltin = (specifier: string): boolean => specifier.startsWith('node:') || builtins.has(specifier);
const isNodeFile = (path: string): boolean => /(^|\.)node\.[cm]?tsx?$/.test(basename(path));
const isTest = (from: Workspace, path: string): boolean =>
  /\.test(-d)?\.tsx?$/.test(path) || relative(from.folder, path).split(sep).includes('test');
const isConfig = (path: string): boolean => /\.config\.[cm]?[jt]s$/.test(path);

/** `@scope/name` of `@scope/name/sub/path`. */
const packageName = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** Whether `exports` holds the path itself or a pattern for it, such as `./files/*`. */
const offers = (to: Workspace, path: string): boolean =>
  [...to.exports].some((key) => {
    const [before = '', after] = key.split('*');
    return after === undefined ? key === path : path.startsWith(before) && path.endsWith(after);
  });

/** Why one package may not depend on the other, or undefined where it may. */
export function judgeFloors(from: Workspace, to: Workspace, context: Context): string | undefined {
  if (to.floor < from.floor || to === from) return undefined;
  if (to.floor > from.floor) {
    return `${from.name} (floor ${from.floor}) must not import ${to.name} from the higher floor ${to.floor}`;
  }
  if (floorBase[to.floor] === to.name || context.sameFloor[from.name]?.includes(to.name)) return undefined;
  return `${from.name} must not import ${to.name}: both are on floor ${from.floor}, and tools/floors/rules.ts does not list this pair`;
}

function judgeRelative(from: Workspace, file: string, specifier: string): string | undefined {
  const target = resolve(dirname(file), specifier);
  if (relative(from.folder, target).startsWith('..') && !isConfig(file)) {
    return `the path leads out of ${from.name}; import the other package by its name`;
  }
  if (from.runtime === 'any' && isNodeFile(target) && !isNodeFile(file) && !isTest(from, file)) {
    return `${basename(target)} is for Node alone; choose it by "exports" or "imports" in package.json`;
  }
  return undefined;
}

/**
 * Why `file` of package `from` may not import `specifier`, or undefined where it may.
 *
 * @param file absolute path
 */
export function judgeImport(
  from: Workspace,
  file: string,
  specifier: string,
  context: Context,
): string | undefined {
  if (specifier.startsWith('#')) return undefined;
  if (specifier.startsWith('.')) return judgeRelative(from, file, specifier);
  const free = isTest(from, file) || isConfig(file);
  if (isBuiltin(specifier)) {
    if (from.runtime === 'node' || free || (from.runtime === 'any' && isNodeFile(file))) return undefined;
    return `${from.name} runs in browsers; Node's built-ins belong in a file named node.ts or *.node.ts`;
  }
  const name = packageName(specifier);
  const to = context.workspaces.get(name);
  if (to && specifier !== name && !offers(to, `.${specifier.slice(name.length)}`)) {
    return `${name} does not export ${specifier}; import what its "exports" offer`;
  }
  if (free) {
    if (from.dependencies.has(name) || from.devDependencies.has(name) || context.tools.has(name))
      return undefined;
    if (to) return to.floor <= from.floor ? undefined : judgeFloors(from, to, context);
    return `${name} is declared neither by ${from.name} nor in the root's devDependencies`;
  }
  if (to && to !== from) {
    const reason = judgeFloors(from, to, context);
    if (reason) return reason;
  }
  if (to === from || from.dependencies.has(name)) return undefined;
  return `${name} is not among the dependencies of ${from.name}; add it to its package.json`;
}
